"""Files of users are run by the tests beside them, not collected for doctests."""

collect_ignore_glob = ["job_*/*"]
