-- Those of the users that a live node has.
local found, result = on(rest), {}
for i, user in ipairs(rest) do
    if found[i] then table.insert(result, user) end
end
return result
