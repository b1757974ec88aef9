-- Sends prepared requests, each once, and counts what is answered. Arguments: the file of requests (`<length>\n<bytes>`, one
-- after the other), how many of them to leave out, the status that counts as success, and whether to start over when all are
-- sent.

local requests, at = {}, 0
local thread

good, bad, dry, sample = 0, 0, 0, ""

function setup(it)
  thread = it
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local skipped = tonumber(args[2])
  expected = tonumber(args[3])
  again = args[4] == "true"
  while true do
    local length = file:read("*l")
    if not length then break end
    if skipped > 0 then
      skipped = skipped - 1
      file:seek("cur", tonumber(length))
    else
      requests[#requests + 1] = file:read(tonumber(length))
    end
  end
  file:close()
end

function request()
  at = at + 1
  if at > #requests then
    at = 1
    if not again then dry = dry + 1 end
  end
  return requests[at]
end

function response(status, _, body)
  if status == expected then
    good = good + 1
  else
    bad = bad + 1
    sample = status .. " " .. string.sub(body, 1, 300)
  end
end

function done(summary, latency)
  local errors = summary.errors
  local file = assert(io.open(wrk.result, "w"))
  file:write(string.format(
    '{"good":%d,"bad":%d,"dry":%d,"seconds":%f,"p50":%f,"p99":%f,"broken":%d}\n%s',
    thread:get("good"), thread:get("bad"), thread:get("dry"), summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.timeout, thread:get("sample")))
  file:close()
end
