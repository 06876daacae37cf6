"""The messages of xAI's gRPC API, as descriptor tables. Data only.

Source: xAI's public protos (package `xai_api`: chat.proto, sample.proto, usage.proto, deferred.proto) as of xai-sdk
1.21. Members that carry no text and that nothing here asks for are left out: they are read as unknown and kept.
"""

from typing import Final

from proxy.codecs.protobuf import Protobuf
from proxy.codecs.protobuf.schema import Table, table

TABLE: Final[Table] = table(
    """
    Request: 1 messages Message*, 2 model string, 16 user string, 8 n int, 7 max_tokens int, 11 seed int,\
        12 stop string*, 14 temperature float, 15 top_p float, 5 logprobs bool, 6 top_logprobs int, 17 tools Tool*,\
        18 tool_choice ToolChoice, 10 response_format ResponseFormat, 3 frequency_penalty float,\
        9 presence_penalty float, 19 reasoning_effort int, 20 search_parameters SearchParameters,\
        21 parallel_tool_calls bool, 22 previous_response_id string, 23 store_messages bool,\
        24 use_encrypted_content bool, 25 max_turns int, 26 include int*, 29 agent_count int, 31 service_tier int,\
        34 safety_identifier string, 39 guidelines Guideline*
    Guideline: 1 policy PolicyGuideline
    PolicyGuideline: 1 category int, 2 behavior int
    Message: 1 content Content*, 5 reasoning_content string, 2 role int, 3 name string, 4 tool_calls ToolCall*,\
        6 encrypted_content string, 7 tool_call_id string
    Content: 1 text string, 2 image_url ImageUrl, 3 file File
    ImageUrl: 1 image_url string, 3 file_id string, 2 detail int
    File: 1 file_id string, 2 data bytes, 3 filename string, 4 mime_type string, 5 url string
    ToolCall: 1 id string, 2 type int, 3 status int, 4 error_message string, 10 function FunctionCall
    FunctionCall: 1 name string, 2 arguments string
    ToolChoice: 1 mode int, 2 function_name string
    Tool: 1 function Function, 3 web_search WebSearch, 4 x_search XSearch, 5 code_execution Empty,\
        6 collections_search CollectionsSearch, 7 mcp Mcp, 8 attachment_search AttachmentSearch,\
        10 image_generation ImageGeneration
    Empty:
    Function: 1 name string, 2 description string, 3 strict bool, 4 parameters string
    Mcp: 1 server_label string, 2 server_description string, 3 server_url string, 4 allowed_tool_names string*,\
        5 authorization string, 6 extra_headers Pair*
    Pair: 1 key string, 2 value string
    WebSearch: 1 excluded_domains string*, 2 allowed_domains string*, 3 enable_image_understanding bool,\
        4 user_location Location, 5 enable_image_search bool
    Location: 1 country string, 2 city string, 3 region string, 4 timezone string
    XSearch: 1 from_date Timestamp, 2 to_date Timestamp, 3 allowed_x_handles string*, 4 excluded_x_handles string*,\
        5 enable_image_understanding bool, 6 enable_video_understanding bool
    Timestamp: 1 seconds int, 2 nanos int
    CollectionsSearch: 1 collection_ids string*, 2 limit int, 3 instructions string, 4 hybrid_retrieval Retrieval,\
        5 semantic_retrieval Retrieval, 6 keyword_retrieval Retrieval
    Retrieval:
    AttachmentSearch: 2 limit int
    ImageGeneration: 1 action string
    ResponseFormat: 1 format_type int, 2 schema string
    SearchParameters: 1 mode int, 9 sources Source*, 4 from_date Timestamp, 5 to_date Timestamp,\
        7 return_citations bool, 8 max_search_results int
    Source: 1 web WebSource, 2 news WebSource, 3 x XSource, 4 rss RssSource
    WebSource: 2 excluded_websites string*, 5 allowed_websites string*, 3 country string, 4 safe_search bool
    XSource: 7 included_x_handles string*, 8 excluded_x_handles string*, 9 post_favorite_count int,\
        10 post_view_count int
    RssSource: 1 links string*

    Answer: 1 id string, 2 outputs Output*, 5 created Timestamp, 6 model string, 7 system_fingerprint string,\
        9 usage Usage, 10 citations string*, 11 settings Settings, 12 debug_output Debug, 13 output_files OutputFile*,\
        15 service_tier int
    Output: 1 finish_reason int, 2 index int, 3 message Said, 4 logprobs LogProbs
    Said: 1 content string, 4 reasoning_content string, 2 role int, 3 tool_calls ToolCall*,\
        5 encrypted_content string, 6 citations Citation*
    Citation: 1 id string, 2 start_index int, 6 end_index int, 3 web_citation Url, 4 x_citation Url,\
        5 collections_citation CollectionsCitation
    Url: 1 url string
    CollectionsCitation: 1 file_id string, 2 chunk_id string, 3 chunk_content string, 4 score float,\
        5 collection_ids string*
    LogProbs: 1 content LogProb*
    LogProb: 1 token string, 2 logprob float, 3 bytes bytes, 4 top_logprobs TopLogProb*
    TopLogProb: 1 token string, 2 logprob float, 3 bytes bytes
    OutputFile: 1 file_id string, 2 name string
    Settings: 1 max_tokens int, 2 parallel_tool_calls bool, 3 previous_response_id string, 4 reasoning_effort int,\
        5 temperature float, 6 response_format ResponseFormat, 7 tool_choice ToolChoice, 8 tools Tool*, 9 top_p float,\
        10 user string, 11 search_parameters SearchParameters, 12 store_messages bool, 13 use_encrypted_content bool,\
        14 include int*
    Debug: 1 attempts int, 2 request string, 3 prompt string, 9 engine_request string, 4 responses string*,\
        12 chunks string*, 5 cache_read_count int, 6 cache_read_input_bytes int, 7 cache_write_count int,\
        8 cache_write_input_bytes int, 10 lb_address string, 11 sampler_tag string
    Usage: 1 completion_tokens int, 6 reasoning_tokens int, 2 prompt_tokens int, 3 total_tokens int,\
        4 prompt_text_tokens int, 7 cached_prompt_text_tokens int, 5 prompt_image_tokens int, 8 num_sources_used int,\
        9 server_side_tools_used int*, 11 cost_in_usd_ticks int

    Chunk: 1 id string, 2 outputs ChunkOutput*, 3 created Timestamp, 4 model string, 5 system_fingerprint string,\
        6 usage Usage, 7 citations string*, 10 debug_output Debug, 11 output_files OutputFile*, 12 service_tier int
    ChunkOutput: 1 delta Said, 2 logprobs LogProbs, 3 finish_reason int, 4 index int

    Compact: 1 model string, 2 messages Message*
    Compacted: 1 id string, 2 encrypted_content string, 3 dropped_message_count int, 4 usage Usage
    Started: 1 id string
    Reference: 1 id string
    Deferred: 1 response Answer, 2 status int

    TextRequest: 1 prompt string*, 3 model string, 8 n int, 7 max_tokens int, 11 seed int, 12 stop string*,\
        14 temperature float, 15 top_p float, 13 frequency_penalty float, 5 logprobs bool, 9 presence_penalty float,\
        6 top_logprobs int, 17 user string
    TextAnswer: 1 id string, 2 choices TextChoice*, 5 created Timestamp, 6 model string, 7 system_fingerprint string,\
        9 usage Usage
    TextChoice: 1 finish_reason int, 2 index int, 3 text string
    """
)


def message(name: str) -> Protobuf:
    """The messages of that name."""
    return Protobuf(TABLE, name)


ROLES: Final = {1: "user", 2: "assistant", 3: "system", 4: "tool", 5: "tool", 6: "system"}
"""MessageRole: 4 is ROLE_FUNCTION, 6 ROLE_DEVELOPER."""

ASSISTANT: Final = 2
USER: Final = 1

CLIENT_SIDE: Final = (None, 0, 1)
"""ToolCallType of calls that the client carries out (TOOL_CALL_TYPE_CLIENT_SIDE_TOOL); xAI all others."""

MCP: Final = 6
"""TOOL_CALL_TYPE_MCP_TOOL: the name is `<server_label>.<tool>`."""

DONE: Final = (1, 3)
"""ToolCallStatus: completed, failed."""

STOPS: Final = {
    1: "REASON_MAX_LEN",
    2: "REASON_MAX_CONTEXT",
    3: "REASON_STOP",
    4: "REASON_TOOL_CALLS",
    5: "REASON_TIME_LIMIT",
}
"""FinishReason."""

STOP: Final = 3
TOOL_CALLS: Final = 4
