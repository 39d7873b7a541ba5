-- For wrk: asks for the paths of a file in turn. Its lines are headers, an empty line, and paths. Prints one line of JSON.
local requests, count = {}, 0

function init(args)
  local headers, paths, is_head = {}, {}, true
  for line in io.lines(args[1]) do
    if line == '' then
      is_head = false
    elseif is_head then
      local name, value = string.match(line, '^(.-): (.*)$')
      headers[name] = value
    else
      paths[#paths + 1] = line
    end
  end
  for n, path in ipairs(paths) do requests[n] = wrk.format('GET', path, headers) end
end

function request()
  count = count + 1
  return requests[count % #requests + 1]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format('{"requests":%d,"seconds":%.6f,"bytes":%d,"failed":%d,"p50_ms":%.3f,"p99_ms":%.3f}',
    summary.requests, summary.duration / 1e6, summary.bytes, failed, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3))
end
