-- The request path of hopgate in Lua, as far as Lua has the means: no metrics (Envoy's Lua has none), and no token of its own (TOKEN is
-- given). ROUTES, HOP and TOKEN are defined in front of this: ROUTES[host] = { backend = NAME, inject = true or nil }.

local TIMES = "hopgate"

local function host_of(authority)
  local host = authority:lower():gsub(":%d+$", "")
  if host:sub(-1) == "." then host = host:sub(1, -2) end
  if host == "" or host:find("[^%w%.%-_]") then return nil end
  return host
end

function envoy_on_request(handle)
  local started = handle:timestamp(EnvoyTimestampResolution.MICROSECOND)
  local headers = handle:headers()
  local forged
  for name in pairs(headers) do
    if name:sub(1, 10) == "x-hopgate-" then
      forged = forged or {}
      forged[#forged + 1] = name
    end
  end
  local authority = headers:get(":authority")
  local authorization = headers:get("authorization")
  if forged then
    for _, name in ipairs(forged) do headers:remove(name) end
  end
  local host = host_of(authority)
  if host == nil then
    handle:respond({ [":status"] = "400", ["x-hopgate-error"] = "host_invalid" }, "host_invalid")
    return
  end
  -- Where nothing came that looks like ours there is nothing to replace.
  local set = forged and headers.replace or headers.add
  set(headers, "x-hopgate-path", HOP)
  local route = ROUTES[host]
  if route then
    set(headers, "x-hopgate-backend", route.backend)
    if route.inject then
      if headers:get("x-serverless-authorization") then headers:remove("x-serverless-authorization") end
      headers:replace(authorization and "x-serverless-authorization" or "authorization", TOKEN)
    end
  end
  local times = { started = started, forwarded = handle:timestamp(EnvoyTimestampResolution.MICROSECOND) }
  handle:streamInfo():dynamicMetadata():set(TIMES, "times", times)
end

function envoy_on_response(handle)
  local now = handle:timestamp(EnvoyTimestampResolution.MICROSECOND)
  local headers = handle:headers()
  headers:remove("x-hopgate-timing")
  local known = handle:streamInfo():dynamicMetadata():get(TIMES)
  if known then
    local times = known.times
    headers:add("server-timing", string.format("%s;dur=%.3f, %s-upstream;dur=%.3f",
      HOP, (now - times.started) / 1000, HOP, (now - times.forwarded) / 1000))
  end
end
