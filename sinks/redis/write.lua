-- Writes one batch of one partition and its position, all or nothing. Runs on Redis 6.2 and later.
-- KEYS: the positions, then the data keys.
-- ARGV: field, expected position ('' where there is none), next position, positions' TTL in seconds, then the writes:
--   'trade',  key, data key, TTL, kept, score, member, value
--   'candle', key, TTL, kept, open time, revision, value
--   'latest', key, TTL, time, revision, value
-- Keys are given by their place in KEYS. Numbers are below 2^53.
-- Returns false where the position is not the expected one: writes were lost, or another process is at work.
local at = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if at == ARGV[3] and at ~= ARGV[2] then return 1 end -- this very batch, its answer lost
if at ~= ARGV[2] then return false end

-- A greater or equal (time, revision) replaces; JSON quotes inside strings are escaped, so the pattern finds the field.
local function revision_of(json) return tonumber(string.match(json, '"revision":(%d+)')) or -1 end
local function time_of(json) return tonumber(string.match(json, '"open_time_ms":(%d+)') or string.match(json, '"time_ms":(%d+)')) or -1 end

local write = {}

function write.trade(i)
  local key, data, kept = KEYS[tonumber(ARGV[i + 1])], KEYS[tonumber(ARGV[i + 2])], tonumber(ARGV[i + 4])
  local member, value = ARGV[i + 6], ARGV[i + 7]
  local new = redis.call('ZADD', key, ARGV[i + 5], member)
  redis.call('HSET', data, member, value)
  local over = redis.call('ZCARD', key) - kept
  if over > 0 then
    local old = redis.call('ZRANGE', key, 0, over - 1)
    redis.call('ZREMRANGEBYRANK', key, 0, over - 1)
    redis.call('HDEL', data, unpack(old))
    for _, one in ipairs(old) do if one == member then new = 0 end end
  end
  redis.call('EXPIRE', key, ARGV[i + 3])
  redis.call('EXPIRE', data, ARGV[i + 3])
  if new == 1 then redis.call('PUBLISH', key, value) end
  return i + 8
end

function write.candle(i)
  local key, kept, open_time, value = KEYS[tonumber(ARGV[i + 1])], tonumber(ARGV[i + 3]), ARGV[i + 4], ARGV[i + 6]
  local old = redis.call('ZRANGEBYSCORE', key, open_time, open_time)
  local greatest = -1
  for _, one in ipairs(old) do greatest = math.max(greatest, revision_of(one)) end
  if tonumber(ARGV[i + 5]) >= greatest then
    for _, one in ipairs(old) do redis.call('ZREM', key, one) end
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
