-- Hold amounts in all ledgers of one subject or in none, by the rule of base.py.
-- ARGV: now, ttl, id, share, floor x3, ceiling x3, then for each ledger: name, resets_at, hard (1 or 0), limit x3 ('' is none).
-- Answers {'granted', used x3, held x3 for each ledger}, {'exhausted', ledger's index from 0, measure, limit, used, held}
-- or {the word of its closing}.

local ID, SHARE = ARGV[3], tonumber(ARGV[4])
local FIRST, STRIDE = 11, 6
local count = (#ARGV - FIRST + 1) / STRIDE

local function argument(index, offset)
  return ARGV[FIRST + index * STRIDE + offset]
end

local function granted()
  local answer = { 'granted' }
  for index = 0, count - 1 do
    for _, kind in ipairs({ 'u', 'h' }) do
      for _, measure in ipairs(MEASURES) do answer[#answer + 1] = amount(argument(index, 0), kind, measure) end
    end
  end
  return answer
end

local state = lookup(ID)
if state == 'open' then return granted() end
if state ~= 'unknown' then return { state } end

local holds = {}
for index = 0, count - 1 do
  local ledger, hard = argument(index, 0), argument(index, 2) == '1'
  local hold = { ledger }
  for i, measure in ipairs(MEASURES) do
    local limit, least, most = tonumber(argument(index, 2 + i)), tonumber(ARGV[4 + i]), tonumber(ARGV[7 + i])
    if hard and limit then
      local used, held = amount(ledger, 'u', measure), amount(ledger, 'h', measure)
      local available = limit - used - held
      if least > available then return { 'exhausted', index, measure, limit, used, held } end
      most = least + math.min(most - least, math.floor((available - least) / SHARE))
    end
    hold[i + 1] = most
  end
  holds[#holds + 1] = hold
end

local last = NOW + TTL
for index, hold in ipairs(holds) do
  local ledger, resets_at = hold[1], argument(index - 1, 1)
  redis.call('HSET', LEDGERS, ledger .. '|resets_at', resets_at)
  redis.call('ZADD', DUE, resets_at, 'l' .. ledger)
  last = math.max(last, tonumber(resets_at))
  for i, measure in ipairs(MEASURES) do
    local limit = argument(index - 1, 2 + i)
    if limit == '' then
      redis.call('HDEL', LEDGERS, field(ledger, 'l', measure))
    else
      redis.call('HSET', LEDGERS, field(ledger, 'l', measure), limit)
    end
    add(ledger, 'h', measure, hold[i + 1])
  end
end
redis.call('HSET', RESERVATIONS, ID, cmsgpack.pack(holds))
redis.call('ZADD', DUE, NOW + TTL, 'r' .. ID)

-- A subject nobody speaks for any more is forgotten by the server itself, never before its last window ended.
local keep = math.ceil(last - NOW + TTL)
for _, key in ipairs(KEYS) do
  if redis.call('TTL', key) < keep then redis.call('EXPIRE', key, keep) end
end
return granted()
