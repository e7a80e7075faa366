"""Configurations that several tests build on."""

BASE = """
[features]
sample_rate_hz = 8000
[teacher.model]
encoder = "conformer"
num_layers = 2
[teacher.train]
updates = 10
[student.model]
encoder = "lstm"
dim = 16
[[student.distill]]
loss = "frame_kl"
temperature = 2
"""

PHONE = """
[phone]
base = "student"
seeds = 2
[phone.data]
train = "train_phone"
dev = "dev_phone"
test = ["test_phone"]
"""

LONG = "[student_long]\nbase = 'student'\ndistill = []\ntrain.updates = 9\n"

METHODS = """
[student]
distill = []
[grid]
students = ["student"]
methods.plain_kl = { distill = [{ loss = "frame_kl" }] }
[grid.methods.longer]
train.updates = 20
distill = [{ loss = "hint" }]
"""
