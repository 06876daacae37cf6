"""Validators that need code: small pure functions over the found value, by name. No patterns of rules live here."""

import ipaddress
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable

import phonenumbers
from stdnum import iban as _iban
from stdnum import luhn as _luhn
from stdnum.exceptions import ValidationError

type Check = Callable[[str], bool]

_DIGITS = "0123456789"
_BASE62 = _DIGITS + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def entropy(value: str) -> float:
    """Shannon entropy of the characters, in bits a character."""
    total = len(value)
    return -sum(n / total * math.log2(n / total) for n in Counter(value).values()) if total else 0.0


_STAND_IN = re.compile(
    r"(.)\1{4}|example|sample|placeholder|dummy|changeme|change[-_]me|redacted|your|insert|replace|todo|fixme|"
    r"x{4}|\*{3}|\.{3}|\$[A-Z({]|\{\{|%[({]|<[a-z]|process\.env|environ|getenv|secrets?\.|config[.\[]|"
    r"0123456789|123456789|abcdefgh|deadbeef|^(?:null|none|undefined|true|false|string|optional|required)$",
    re.IGNORECASE,
)


def not_placeholder(value: str) -> bool:
    """Not a stand-in: five equal characters, a run of the alphabet, a template, a variable, or a word that says so."""
    return _STAND_IN.search(value) is None


_CODE = re.compile(
    r"[A-Za-z_][A-Za-z_-]*|[A-Za-z_]\w*(?:(?:\.|::|->)[A-Za-z_]\w*)+|[/.~]?(?:[\w-]+/)+[\w.-]*|(?i:https?|file)://.*|"
    r".*[(\[{]$|\w+\(.*|v?\d+(?:[.\-:]\d+)*|\d+|[A-Z0-9_]+|[a-z]+(?:[-_.][a-z]+)*\d{0,2}"
)


def not_code(value: str) -> bool:
    """Not what source code and configuration hold in its place: a name, a path, a call, a version, a number."""
    return _CODE.fullmatch(value) is None


_SHAPES = (re.compile("[a-z]"), re.compile("[A-Z]"), re.compile("[0-9]"), re.compile("[^A-Za-z0-9]"))


def mixed(value: str) -> bool:
    """A digit and at least one other kind of character: random tokens of any length worth guessing have both."""
    kinds = [shape.search(value) is not None for shape in _SHAPES]
    return kinds[2] and sum(kinds) >= 2


def random_looking(value: str) -> bool:
    """Entropy near what random text of this length has: hex runs and longer alphabets each by their own measure."""
    if re.fullmatch(r"[0-9a-fA-F-]+", value):
        return len(value) >= 20 and entropy(value) >= 2.9
    return entropy(value) >= min(3.7, 0.78 * math.log2(len(value)))


def luhn(value: str) -> bool:
    """ISO/IEC 7812-1 check digit over the digits of the value."""
    return _luhn.is_valid(re.sub(r"[^0-9]", "", value))


_IIN = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|"
    r"3(?:0[0-5]|[689]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}|6(?:011|4[4-9]\d|5\d\d)\d{12}|(?:62|81)\d{14,17}|"
    r"(?:2131|1800)\d{11}|(?:5018|5020|5038|5893|6304|67\d\d)\d{8,15}|9792\d{12}|220[0-4]\d{12}"
)


def card(value: str) -> bool:
    """A payment card: Luhn, and issuer range and length of a known network; grouped as cards are, or not at all."""
    digits = re.sub(r"[^0-9]", "", value)
    groups = re.split(r"[^0-9]+", value)
    if len(groups) > 1 and not (min(map(len, groups[:-1])) >= 4 and max(map(len, groups)) <= 6):
        return False
    return len(set(digits)) > 1 and _IIN.fullmatch(digits) is not None and luhn(digits)


def iban(value: str) -> bool:
    """ISO 13616 checksum (mod 97), country length and structure."""
    try:
        _iban.validate(value, check_country=False)
    except ValidationError:
        return False
    return True


def ssn(value: str) -> bool:
    """A US social security number that can have been issued: https://www.ssa.gov/employer/randomization.html"""
    digits = re.sub(r"[^0-9]", "", value)
    return digits[:3] not in ("000", "666") and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def ip(value: str) -> bool:
    """An IPv4 or IPv6 address of one host: not unspecified, loopback, multicast or a netmask."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_multicast or value.startswith("255."))


_REGIONS = ("US", "GB", "DE", "FR", "IN", "JP", "AU", "BR", "TR", "IT", "ES", "NL", "CH", "ZA", "IL", "PH", "MX")
_DATE = re.compile(r"(?:19|20)\d\d[-./ ](?:0?[1-9]|1[0-2])[-./ ]\d{1,2}.*|\d{1,2}[-./ ]\d{1,2}[-./ ](?:19|20)\d\d.*")


_NO_PHONE = re.compile(r"\d+\.\d+|\d{1,3}(?:\.\d{1,3}){3}|\d{3}-\d{2}-\d{4}|\d{5}-\d{4}")
"""A decimal, an IPv4 address, a social security number, a ZIP+4 code."""


def phone(value: str) -> bool:
    """A number that some numbering plan has assigned, and no date. Unformatted national digits are not enough."""
    if _DATE.fullmatch(value) or _NO_PHONE.fullmatch(value):
        return False
    for region in (None,) if value.startswith("+") else _REGIONS:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(value, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return bool(re.fullmatch(r"(?:\+?1[-. ]?)?\(?[2-9]\d{2}\)?[-. ]\d{3}[-. ]\d{4}", value))


def email(value: str) -> bool:
    """A mailbox of RFC 5321 shape whose domain is not an asset's name (`icon@2x.png`)."""
    local, _, domain = value.rpartition("@")
    last = domain.rpartition(".")[2].lower()
    return (
        len(local) <= 64 and ".." not in value and last not in {"png", "jpg", "jpeg", "gif", "svg", "webp", "js", "css"}
    )


def github(value: str) -> bool:
    """CRC32 of the random part in base62, the last six characters.

    https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
    """
    body = value.partition("_")[2]
    number, text = zlib.crc32(body[:-6].encode()), ""
    while number:
        number, digit = divmod(number, 62)
        text = _BASE62[digit] + text
    return text.rjust(6, "0") == body[-6:]


_CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (not_placeholder, not_code, mixed, random_looking, luhn, card, iban, ssn, ip, phone, email, github)
}


def check(name: str) -> Check:
    """The validator of that name; `entropy>=BITS` is made. Raises ValueError for an unknown one."""
    if name.startswith("entropy>="):
        least = float(name.removeprefix("entropy>="))
        return lambda value: entropy(value) >= least
    if name not in _CHECKS:
        raise ValueError(f"unknown validator {name!r}; known: entropy>=BITS, {', '.join(sorted(_CHECKS))}")
    return _CHECKS[name]
