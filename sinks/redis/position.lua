-- Moves a partition's position, and notes what is written of each tag; all or nothing.
-- Runs on Redis 6.2 and later, and on Valkey.
-- KEYS: the partition's record (a hash).
-- ARGV: 1 the position expected (a text; '' where there is none), 2 the new one, 3 TTL of the record, 4 what to note of
--   tags, 5 the tags, 6 tags to forget. Lists are texts with a line feed between.
-- Returns 1; or false where the position is not the expected one: writes were lost, or another process is at work.
local POSITION = 'position'
local position = redis.call('HGET', KEYS[1], POSITION) or ''
if position ~= ARGV[1] and position ~= ARGV[2] then return false end -- ARGV[2]: it was moved, but the answer was lost

local function each(text, act)
  for item in string.gmatch(text, '[^\n]+') do act(item) end
end

local notes, n = {}, 0
each(ARGV[4], function(note) notes[#notes + 1] = note end)
each(ARGV[5], function(tag)
  n = n + 1
  redis.call('HSET', KEYS[1], '{' .. tag .. '}', notes[n])
end)
each(ARGV[6], function(tag) redis.call('HDEL', KEYS[1], '{' .. tag .. '}') end)
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], POSITION)
else
  redis.call('HSET', KEYS[1], POSITION, ARGV[2])
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
