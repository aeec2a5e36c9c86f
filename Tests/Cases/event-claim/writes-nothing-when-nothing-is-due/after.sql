select name, version <> '' from workers
