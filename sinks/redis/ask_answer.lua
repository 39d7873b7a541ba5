-- Looks for an answer that is kept of a question, and says who makes it anew. Runs on Redis 6.2 and later, and on Valkey.
-- KEYS: what is written of the market (a hash), the answer (a hash), the lock of its maker.
-- ARGV: 1 the caller's name for the lock, 2 how long it holds, 3 an answer that is younger need not be made anew, 4 one
--   that is older counts for nothing (all in milliseconds), 5 the position and 6 the time of the answer that the caller
--   has itself ('' where it has none), 7 and more: partitions whose positions count.
-- Returns the position that counts now, the age of the answer to give (-1: there is none), whether the caller has to make
--   it anew (1: nobody else does), and the answer's head and body ('' where the caller has it).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local positions = redis.call('HMGET', KEYS[1], unpack(ARGV, 7))
for n, position in ipairs(positions) do positions[n] = position or '' end
local position = table.concat(positions, ' ')

local function age_of(known, made)
  if known ~= position or not made or made == '' then return nil end
  local age = math.max(0, now - tonumber(made))
  return age < tonumber(ARGV[4]) and age or nil
end

local kept = redis.call('HMGET', KEYS[2], 'position', 'made_ms')
local own, theirs = age_of(ARGV[5], ARGV[6]), age_of(kept[1], kept[2])
local age, head, body = own, '', ''
if theirs and (not own or theirs < own) then
  age, head, body = theirs, unpack(redis.call('HMGET', KEYS[2], 'head', 'body'))
end
local makes = 0
if (not age or age >= tonumber(ARGV[3])) and redis.call('SET', KEYS[3], ARGV[1], 'NX', 'PX', ARGV[2]) then makes = 1 end
return { position, age or -1, makes, head, body, string.format('%.0f', now) }
