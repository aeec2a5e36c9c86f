"""The expected output of `--describe`: the part common to all handlers, the part of the class, and the handler's own
part."""

import case_files


def setting(text):
    """A setting by its name. `!` after the name marks it as required."""
    made = {"name": text.removesuffix("!"), "required": text.endswith("!")}
    return {**made, "unless": ["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"]} if made["name"] == "DATABASE_URL" else made


def expected(handler, own):
    """The whole description of a handler. The content of members in `has` is not compared (<any>)."""
    every, groups = case_files.common("descriptions")["every"], case_files.common("descriptions")
    group = groups[own["class"]]
    made = {"name": handler, **{key: value for key, value in {**every, **group}.items() if key not in ("settings", "last_settings")}}
    made["environment"] = list(map(setting, group["settings"] + own.get("settings", []) + every["last_settings"]))
    made.update({key: value for key, value in own.items() if key not in ("class", "settings", "has", "required")})
    made["routes"] = [dict(zip(("method", "path"), route.split(" "), strict=True)) for route in made["routes"]]
    made.update(dict.fromkeys(own.get("has", []), "<any>"))
    return made
