import importlib.util
import subprocess
import sys

from tests.support import ROOT, execute

spec = importlib.util.spec_from_file_location("check_environment", ROOT / "utils" / "check_environment.py")
check_environment = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_environment)


def test_the_last_line_is_a_python_that_satisfies_the_requirements():
    result = execute([ROOT / "utils" / "setup.sh", ROOT / "tests" / "requirements.txt"], ROOT)
    python = result.stdout.splitlines()[-1]
    assert subprocess.run([python, "-c", "import torch, pytest"]).returncode == 0


def test_a_requirements_file_that_is_missing_is_status_2():
    result = execute([ROOT / "utils" / "setup.sh", "none.txt"], ROOT)
    assert (result.returncode, result.stderr) == (2, "setup: no such file: none.txt\n")


def test_what_is_missing_is_said(tmp_path):
    (tmp_path / "r.txt").write_text("# comment\nnumpy>=1  # why\nnumpy>=99\nno-such-package>=1\n")
    result = execute([sys.executable, ROOT / "utils" / "check_environment.py", tmp_path / "r.txt"], tmp_path)
    version = __import__("numpy").__version__
    assert result.returncode == 1
    assert result.stdout == f"numpy {version} is installed, >=99 is needed\nno-such-package is not installed\n"


def test_a_requirement_of_other_pythons_is_none(tmp_path):
    (tmp_path / "r.txt").write_text('no-such-package>=1; python_version < "3"\nno-such-one; python_version > "3"\n')
    assert check_environment.faults([tmp_path / "r.txt"]) == ["no-such-one is not installed"]


def test_a_package_that_does_not_import_is_said(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("raise OSError('libcudart.so: not found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    said = check_environment.broken("broken_package")
    assert said == "broken_package does not import: OSError: libcudart.so: not found"


def test_utils_import_no_torch():
    modules = [p.relative_to(ROOT).with_suffix("") for p in (ROOT / "utils").rglob("*.py") if p.name != "__init__.py"]
    names = [".".join(path.parts) for path in modules]
    code = f"import sys, importlib; [importlib.import_module(n) for n in {names}]; print('torch' in sys.modules)"
    assert execute([sys.executable, "-c", code], ROOT).stdout == "False\n"
