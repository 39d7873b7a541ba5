-- Writes one batch of one partition and its position, all or nothing. Runs on Redis 6.2 and later.
-- KEYS: the positions, then the data keys.
-- ARGV: field, expected position (a text; '' where there is none), next position, positions' TTL in seconds, the writes:
--   'trades', key, data key, TTL, kept, count, then so many times: NX or XX, score, member, value
--   'candle', key, TTL, kept, open time, revision, value
--   'latest', key, TTL, time, revision, value
--   NX: only where the member is absent; XX: only where it is present.
-- Keys are given by their place in KEYS. Numbers are below 2^53.
-- Returns false where the position is not the expected one: writes were lost, or another process is at work.
local position = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if position == ARGV[3] and position ~= ARGV[2] then return 1 end -- this very batch was written, but its answer was lost
if position ~= ARGV[2] then return false end

-- A greater or equal (time, revision) replaces; JSON quotes inside strings are escaped, so the pattern finds the field.
local function revision_of(json) return tonumber(string.match(json, '"revision":(%d+)')) or -1 end
local function time_of(json) return tonumber(string.match(json, '"open_time_ms":(%d+)') or string.match(json, '"time_ms":(%d+)')) or -1 end

local write = {}

function write.trades(i)
  local key, data, kept, count = KEYS[tonumber(ARGV[i + 1])], KEYS[tonumber(ARGV[i + 2])], tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5])
  local oldest = redis.call('ZCARD', key) >= kept and tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]) or -1
  for n = i + 6, i + 2 + 4 * count, 4 do
    local condition, score, member, value = ARGV[n], ARGV[n + 1], ARGV[n + 2], ARGV[n + 3]
    local known = redis.call('HGET', data, member)
    local enters = condition == 'NX' and not known and tonumber(score) >= oldest
    if enters or (condition == 'XX' and known and known ~= value) then
      redis.call('HSET', data, member, value)
      redis.call('ZADD', key, score, member)
      redis.call('PUBLISH', key, value)
    end
  end
  local over = redis.call('ZCARD', key) - kept
  for first = 1, over, 1000 do
    local old = redis.call('ZRANGE', key, first - 1, math.min(first + 998, over - 1))
    redis.call('HDEL', data, unpack(old))
  end
  if over > 0 then redis.call('ZREMRANGEBYRANK', key, 0, over - 1) end
  redis.call('EXPIRE', key, ARGV[i + 3])
  redis.call('EXPIRE', data, ARGV[i + 3])
  return i + 6 + 4 * count
end

function write.candle(i)
  local key, kept, open_time, value = KEYS[tonumber(ARGV[i + 1])], tonumber(ARGV[i + 3]), ARGV[i + 4], ARGV[i + 6]
  local old = redis.call('ZRANGEBYSCORE', key, open_time, open_time)
  local greatest = -1
  for _, json in ipairs(old) do greatest = math.max(greatest, revision_of(json)) end
  if tonumber(ARGV[i + 5]) >= greatest then
    for _, json in ipairs(old) do redis.call('ZREM', key, json) end
    redis.call('ZADD', key, open_time, value)
    redis.call('ZREMRANGEBYRANK', key, 0, -kept - 1)
    redis.call('EXPIRE', key, ARGV[i + 2])
    if old[1] ~= value then redis.call('PUBLISH', key, value) end
  end
  return i + 7
end

function write.latest(i)
  local key, time, revision, value = KEYS[tonumber(ARGV[i + 1])], tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4]), ARGV[i + 5]
  local old = redis.call('GET', key)
  local newer = not old or time > time_of(old) or (time == time_of(old) and revision >= revision_of(old))
  if newer then
    redis.call('SET', key, value, 'EX', ARGV[i + 2])
    if old ~= value then redis.call('PUBLISH', key, value) end
  end
  return i + 6
end

local i = 5
while i <= #ARGV do i = write[ARGV[i]](i) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
