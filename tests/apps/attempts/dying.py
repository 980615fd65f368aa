"""A site that loads, and dies of its sandbox when it is asked."""


def app(environ, start_response):
    with open("/proc/meminfo", encoding="utf-8") as stream:
        return [stream.read().encode()]
