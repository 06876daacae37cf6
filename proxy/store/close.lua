-- Settle or release. ARGV: now, ttl, id, 'settled' or 'released', actual x3. Answers 'done' or how it was closed before.

local ID = ARGV[3]
local state, holds = lookup(ID)
if state ~= 'open' then return state end
finish(ID, holds, ARGV[4], { tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]) })
return 'done'
