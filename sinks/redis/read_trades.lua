-- Reads the latest trades at once: one text is taken in much faster than an answer of a hundred parts, and than two.
-- Runs on Redis 6.2 and later, and on Valkey.
-- KEYS: the sorted set of ids, the hash of values. ARGV: 1 how many.
-- Returns the values, newest first, with a line feed between; no value has one in it.
local members = redis.call('ZREVRANGE', KEYS[1], 0, ARGV[1] - 1)
if #members == 0 then return '' end
local values = {}
for _, value in ipairs(redis.call('HMGET', KEYS[2], unpack(members))) do
  if value then values[#values + 1] = value end
end
return table.concat(values, '\n')
