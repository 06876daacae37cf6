-- Shared by every script (put in front of it): names, integers, and the sweep of what is due.
--
-- All keys of one subject carry it as hash tag, so a script touches one slot (Redis Cluster specification, "Hash tags"):
--   KEYS[1] ledgers       hash   <budget>|<window>|<field> -> integer; fields u* used, h* held, l* limits, resets_at
--   KEYS[2] reservations  hash   id -> msgpack: a list of holds while open, the word of its closing afterwards
--   KEYS[3] due           zset   "r<id>" and "l<budget>|<window>", by the time they expire or may be forgotten
-- Every script is called with ARGV[1] = now (Unix seconds) and ARGV[2] = ttl (seconds).

local LEDGERS, RESERVATIONS, DUE = KEYS[1], KEYS[2], KEYS[3]
local NOW, TTL = tonumber(ARGV[1]), tonumber(ARGV[2])
local MEASURES = { 'requests', 'tokens', 'nano_usd' }

-- tostring() writes 1e+15 and HINCRBY wants digits; adding 0 makes -0 a 0. Exact up to 2^53.
local function digits(number)
  return string.format('%.0f', number + 0)
end

local function field(ledger, kind, measure)
  return ledger .. '|' .. kind .. measure
end

local function amount(ledger, kind, measure)
  return tonumber(redis.call('HGET', LEDGERS, field(ledger, kind, measure)) or '0')
end

local function add(ledger, kind, measure, delta)
  redis.call('HINCRBY', LEDGERS, field(ledger, kind, measure), digits(delta))
end

-- How a reservation stands: 'open', the word of its closing, or 'unknown'; and its holds.
local function lookup(id)
  local packed = redis.call('HGET', RESERVATIONS, id)
  if not packed then return 'unknown' end
  local value = cmsgpack.unpack(packed)
  if type(value) == 'string' then return value end
  return 'open', value
end

-- Give back what was held and book `actual`. A ledger whose window ended is gone, and nothing is booked on it.
local function finish(id, holds, state, actual)
  for _, hold in ipairs(holds) do
    local ledger = hold[1]
    if redis.call('HEXISTS', LEDGERS, ledger .. '|resets_at') == 1 then
      for i, measure in ipairs(MEASURES) do
        add(ledger, 'h', measure, -hold[i + 1])
        add(ledger, 'u', measure, actual[i])
      end
    end
  end
  redis.call('HSET', RESERVATIONS, id, cmsgpack.pack(state))
  redis.call('ZADD', DUE, NOW + TTL, 'r' .. id)
end

local function forget_ledger(ledger)
  local fields = { ledger .. '|resets_at' }
  for _, measure in ipairs(MEASURES) do
    for _, kind in ipairs({ 'u', 'h', 'l' }) do fields[#fields + 1] = field(ledger, kind, measure) end
  end
  redis.call('HDEL', LEDGERS, unpack(fields))
  redis.call('ZREM', DUE, 'l' .. ledger)
end

local function forget_reservation(id)
  redis.call('HDEL', RESERVATIONS, id)
  redis.call('ZREM', DUE, 'r' .. id)
end

for _, member in ipairs(redis.call('ZRANGEBYSCORE', DUE, '-inf', ARGV[1])) do
  local name = string.sub(member, 2)
  if string.sub(member, 1, 1) == 'l' then
    forget_ledger(name)
  else
    local state, holds = lookup(name)
    if state == 'open' then finish(name, holds, 'expired', { 0, 0, 0 }) else forget_reservation(name) end
  end
end
