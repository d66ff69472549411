"""The shop's tests are run by Django's runner, in a process with settings of its own."""

collect_ignore_glob = ["*.py", "shop/*"]
