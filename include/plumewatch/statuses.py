"""Every word that an outcome, a status or a stage of the tables may be, stated once."""

# observations.outcome: what came of looking at an area, a scene or an orbit
SEARCHED = "searched"  # looked at, whether something was found or not
SKIPPED_CLOUD = "skipped_cloud"  # too little clear ground
SKIPPED_DUPLICATE = "skipped_duplicate"  # a newer product of the same acquisition is used
WAITING_FOR_QUOTA = "waiting_for_quota"  # the service has given all that it gives in this time
NO_INPUT = "no_input"  # nothing came in: the satellite has nothing of it, or nobody asked (missing_setting)
NO_REFERENCE = "no_reference"  # no earlier clear date to compare with
FAILED = "failed"  # could not be used; failed_scenes says why

# validation.outcome of a published case that was searched, or can't be; status in source_estimates of what nobody saw
DETECTED = "detected"
NOT_DETECTED = "not_detected"

# scene_gaps.reason: why a scene that the catalogue has, or a whole day, is missing
NOT_SEARCHED = "not_searched"  # no run has looked at the area's day: paused, or Airflow was down
NOT_FETCHED = "not_fetched"  # not stored, and nothing says why: it came late, or its run ended before
BROKEN = "broken"  # stored, but a file of it isn't whole
MAY_HEAL = "may_heal"  # it failed for a reason that may have gone by now
CANNOT_HEAL = "cannot_heal"  # it failed for good: nobody fetches it again until the cause is mended
NO_PIXELS = "no_pixels"  # stored whole, but not in the pixel table
GAP_REASONS = (NOT_SEARCHED, NOT_FETCHED, BROKEN, MAY_HEAL, CANNOT_HEAL, NO_PIXELS, WAITING_FOR_QUOTA)

# observations.stage: who looked; each replaces only its own rows. failed_scenes.stage: what was being done; there a
# task of a DAG has a stage of its own too (fetch_scene, fetch_granule, search_scenes, search_late ...)
SEARCH_STAGE = "search"
FETCH_STAGE = "fetch"  # in failed_scenes: FETCH_SCENE
FETCH_SCENE = "fetch_scene"
DETECTION_STAGE = "detection"  # of plumes; in observations of peaks too
OBSERVATION_STAGES = (SEARCH_STAGE, FETCH_STAGE, DETECTION_STAGE)
PIXELS_STAGE = "pixels"
INDEX_STAGE = "index"
EXTRACTION_STAGE = "extract"
PEAKS_STAGE = "detect"
WIND_STAGE = "wind"
INVENTORY_STAGE = "inventory"
MATCHING_STAGE = "matching"
STATISTICS_STAGE = "statistics"
COMPOSITE_STAGE = "composite"
REGISTRATION_STAGE = "register"

# plumes.status and peaks.status: accepted, or the first reason against it
ACCEPTED = "accepted"
NOT_SIGNIFICANT = "not_significant"  # noise makes as strong ones too often
# isolation_forest knows no methane, single_pass was never measured for Landsat; of an estimate: no inventory has a rate
UNRATED = "unrated"
SURFACE_CHANGE = "surface_change"
TOO_SMALL = "too_small"
MASKED_EDGE = "masked_edge"
DOWNWIND_PIECE = "downwind_piece"  # the far part of another plume
TOO_NARROW = "too_narrow"
TOO_WIDE = "too_wide"
SHOULDERS_EMPTY = "shoulders_empty"  # too few soundings beside the peak
LOW_CORRELATION = "low_correlation"  # the soundings don't follow the fitted curve
CURVED_BACKGROUND = "curved_background"
DUPLICATE = "duplicate"  # of a stronger peak beside it
REJECTED = "rejected"  # by a person; never stored: what detects knows no reviews

# plumes.emission_status and peaks.emission_status: why there is a rate, or none
RATED = "ok"
NO_WIND = "no_wind"
WIND_TOO_WEAK = "wind_too_weak"
WIND_ALONG_TRACK = "wind_along_track"

# matches.status: what the inventories say of a detection
CONFIRMED = "confirmed"
AMBIGUOUS = "ambiguous"
INCONSISTENT_RATE = "inconsistent_rate"
UNKNOWN_SOURCE = "unknown_source"

# reviews.verdict: a person's word on a detection
CONFIRM = "confirm"
REJECT = "reject"
VERDICTS = (CONFIRM, REJECT)
