-- Keeps an answer, and ends the lock of its maker. Runs on Redis 6.2 and later, and on Valkey.
-- KEYS: the answer (a hash), the lock. ARGV: 1 the maker's name, 2 how long the answer is kept, in milliseconds (0: it is
--   not), 3 its position, 4 when it was asked for, 5 its head, 6 its body.
if tonumber(ARGV[2]) > 0 then
  redis.call('HSET', KEYS[1], 'position', ARGV[3], 'made_ms', ARGV[4], 'head', ARGV[5], 'body', ARGV[6])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 1
