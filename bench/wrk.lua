-- wrk's own report rounds; this is one line of JSON. Times are microseconds, as wrk hands them over.
done = function(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '\nwrk {"requests": %d, "us": %d, "p50_us": %d, "p99_us": %d, "errors": '
            .. '{"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.connect, errors.read, errors.write, errors.status, errors.timeout
    ))
end
