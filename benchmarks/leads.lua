-- A script for wrk: sends a new lead with each request and counts the responses other than 201. Prints the results as
-- JSON at the end. The first argument is the file with the template of a lead, in which # stands for the lead's number
-- of twelve digits. The second argument is the first four digits of the numbers.
local threads = {}
function setup(thread) table.insert(threads, thread) end

function init(arguments)
  local file = assert(io.open(arguments[1]))
  local template = file:read("*a")
  file:close()
  local run, number = arguments[2], 0
  local head = "POST /api/chatbot/leads HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
  local pieces = {}
  for piece in (template .. "#"):gmatch("(.-)#") do table.insert(pieces, piece) end
  other = 0
  request = function()
    number = number + 1
    local body = table.concat(pieces, run .. string.format("%08d", number))
    return head .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
  end
end

function response(status)
  if status ~= 201 then other = other + 1 end
end

function done(summary, latency)
  local other = 0
  for _, thread in ipairs(threads) do other = other + thread:get("other") end
  local e = summary.errors
  io.write(string.format('{"answers": %d, "other": %d, "broken": %d, "seconds": %f, "p50": %f, "p99": %f}\n', summary.requests, other,
    e.connect + e.read + e.write + e.timeout, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
