"""For all tests: log lines go to the standard library, plainly, and are shown for failures."""

import structlog

structlog.configure(
    processors=[
        structlog.stdlib.add_log_level,
        structlog.processors.format_exc_info,  # not with all local values: that takes seconds
        structlog.processors.JSONRenderer(default=repr),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.make_filtering_bound_logger(20),
)
