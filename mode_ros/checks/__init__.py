"""What looks suspicious in data sets, recordings, contracts and checkpoints: small pure functions, one idea per file.

They take arrays and words, and know nothing of files, so that the doctor, the converter's report and `train --check`
say the same.
"""
