-- All fields of a subject's ledgers, after the sweep. ARGV: now, ttl.

return redis.call('HGETALL', LEDGERS)
