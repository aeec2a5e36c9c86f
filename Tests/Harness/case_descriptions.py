"""What `--describe` says: what every handler says, what those of its class say, and what is particular to it."""

import case_files


def setting(text):
    """A setting by its name; `!` after it says that it is required."""
    return {"name": text.removesuffix("!"), "required": text.endswith("!")}


def expected(handler, own):
    """The whole description of a handler. Members that are written out elsewhere are expected to be there: <any>."""
    every, groups = case_files.common("descriptions")["every"], case_files.common("descriptions")
    group = groups[own["class"]]
    made = {"name": handler, **{key: value for key, value in {**every, **group}.items() if key not in ("settings", "last_settings")}}
    made["environment"] = list(map(setting, group["settings"] + own.get("settings", []) + every["last_settings"]))
    made.update({key: value for key, value in own.items() if key not in ("class", "settings", "has", "required")})
    made["routes"] = [dict(zip(("method", "path"), route.split(" "), strict=True)) for route in made["routes"]]
    made.update(dict.fromkeys(own.get("has", []), "<any>"))
    return made
