"""Models from the Hugging Face hub: a small server on this machine stands for it."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from checkpoints import CONFIG, contents, write_csvs, write_huggingface, write_shards
from conftest import require
from models import random_matrices

MATRICES = random_matrices(CONFIG)
MODEL = "someone/small"
COMMIT, OLD_COMMIT = "1" * 40, "2" * 40
PART = 3000  # bytes that arrive before the line breaks
# the client counts what arrived in steps of 10 MB
SMALL_CHUNKS = (
    "-c",
    "from huggingface_hub import constants; constants.DOWNLOAD_CHUNK_SIZE = 1000; import sheetgpt.cli as c; c.main()",
)


class Hub(ThreadingHTTPServer):
    """Serves files of one model as the hub does: `/MODEL/resolve/REVISION/FILE`, checksums as etags, ranges."""

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = files
        self.revisions = {"main": COMMIT, COMMIT: COMMIT, "v1": OLD_COMMIT, OLD_COMMIT: OLD_COMMIT}
        self.breaks, self.wrong, self.gated = {}, set(), False  # breaks: file -> how often the line breaks
        self.asked = []  # (method, file, first byte)
        self.tokens = set()


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        hub = self.server
        path = self.path.partition("?")[0].strip("/")
        model, _, rest = path.partition("/resolve/")
        revision, _, name = rest.partition("/")
        hub.tokens.add(self.headers.get("Authorization"))
        hub.asked.append((self.command, name, self.start()))
        if model != MODEL or not name:
            return self.refuse(404, "RepoNotFound")
        if hub.gated:
            return self.refuse(403, "GatedRepo")
        if revision not in hub.revisions:
            return self.refuse(404, "RevisionNotFound")
        if name not in hub.files:
            return self.refuse(404, "EntryNotFound", hub.revisions[revision])
        return self.send(name, hub.files[name], hub.revisions[revision], body=body)

    def start(self):
        return int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])

    def refuse(self, status, code, commit=None):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send(self, name, data, commit, *, body):
        etag = hashlib.sha256(data).hexdigest()
        if name.endswith((".json", ".txt")):
            etag = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        if name in self.server.wrong:
            data = data[:-1] + bytes([data[-1] ^ 1])
        start = self.start()
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Linked-Etag", f'"{etag}"')
        self.send_header("X-Linked-Size", str(len(data)))
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if body and self.server.breaks.get(name):
            self.server.breaks[name] -= 1
            self.wfile.write(data[start : start + PART])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif body:
            self.wfile.write(data[start:])


@pytest.fixture
def hub(tmp_path):
    require("huggingface_hub", "hub")
    server = Hub(contents(write_huggingface(tmp_path / "files", MATRICES)))
    # what else repositories hold, and no conversion needs
    server.files |= {"README.md": b"# GPT-2", "tf_model.h5": b"x" * 99, "pytorch_model.bin": b"x" * 99}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def convert(hub, tmp_path):
    """Runs the command in a process of its own, the hub's cache being empty at first: (exit code, stdout, stderr)."""

    def run(*arguments, model=MODEL, program=("-m", "sheetgpt"), **environment):
        place = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(tmp_path / "hf_home")}
        quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_ETAG_TIMEOUT": "5"}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        done = subprocess.run(
            [sys.executable, *program, "convert-weights", model, str(tmp_path / "csv"), *arguments],
            env=inherited | place | quiet | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr.strip()

    return run


@pytest.fixture
def expected(tmp_path):
    return contents(write_csvs(tmp_path / "expected", MATRICES))


def test_only_the_files_that_are_needed_are_downloaded_and_then_it_works_offline(hub, convert, tmp_path, expected):
    code, out, _ = convert("--json")
    assert code == 0
    assert json.loads(out)["constants"]["n_layer"] == 2
    assert contents(tmp_path / "csv") == expected
    downloaded = {name for method, name, _ in hub.asked if method == "GET"}
    assert downloaded == {"config.json", "model.safetensors", "vocab.json", "merges.txt"}
    hub.asked.clear()
    assert convert("--force", HF_HUB_OFFLINE="1")[0] == 0
    assert hub.asked == []
    hub.shutdown()  # nor is it needed where no one says so
    hub.server_close()
    code, _, error = convert("--force")
    assert (code, error) == (0, "")
    assert contents(tmp_path / "csv") == expected


def test_a_revision_and_the_users_token_are_sent(hub, convert):
    code, _, _ = convert("--revision", "v1", HF_TOKEN="hf_secret")
    assert code == 0
    assert hub.tokens == {"Bearer hf_secret"}


@pytest.mark.parametrize("tokenizer", [{"vocab.json", "merges.txt"}, {"merges.txt"}])
def test_a_model_in_parts_and_without_a_tokenizer_is_found(hub, convert, tmp_path, expected, tokenizer):
    folder = tmp_path / "parts"
    folder.mkdir()
    from checkpoints import huggingface_tensors

    hub.files |= contents(write_shards(folder, huggingface_tensors(MATRICES)))
    for name in {"model.safetensors", *tokenizer}:
        del hub.files[name]
    code, _, notes = convert()
    assert code == 0
    assert "Note: no token files: the model runs by --token-ids" in notes
    assert contents(tmp_path / "csv") == {name: data for name, data in expected.items() if "bpe" not in name}


def test_a_broken_download_goes_on_where_it_stopped(hub, convert, tmp_path, expected):
    hub.breaks = {"model.safetensors": 2}
    code, _, error = convert(program=SMALL_CHUNKS)
    assert code == 0, error
    starts = [start for method, name, start in hub.asked if (method, name) == ("GET", "model.safetensors")]
    assert starts == [0, PART, 2 * PART]
    assert contents(tmp_path / "csv") == expected


def test_a_download_that_never_ends_is_one_line_and_the_next_call_keeps_what_is_whole(hub, convert, tmp_path, expected):
    hub.breaks = {"model.safetensors": 99}
    code, _, error = convert()
    assert code == 2
    assert error.splitlines()[-1].startswith(f"Error: {MODEL} cannot be had from the hub (")
    assert error.endswith("): run again, files that are whole are kept")
    assert "Traceback" not in error
    assert not (tmp_path / "csv").exists()
    hub.breaks.clear()
    hub.asked.clear()
    assert convert()[0] == 0
    assert "config.json" not in [name for method, name, _ in hub.asked if method == "GET"]
    assert contents(tmp_path / "csv") == expected


@pytest.mark.parametrize("name", ["model.safetensors", "merges.txt"])
def test_a_wrong_checksum_is_refused_and_the_next_call_gets_the_file_anew(hub, convert, tmp_path, expected, name):
    hub.wrong = {name}
    code, _, error = convert()
    message = f"Error: {MODEL}: {name} has a wrong checksum and was removed: run again to get it anew"
    assert (code, error.splitlines()[-1]) == (2, message)
    assert not (tmp_path / "csv").exists()
    hub.wrong = set()
    assert convert()[0] == 0
    assert contents(tmp_path / "csv") == expected


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        ("config.json", "has no config.json: it is no model that can be converted"),
        ("model.safetensors", "has neither model.safetensors nor pytorch_model.bin"),
        (
            "model-00002-of-00003.safetensors",
            "has no model-00002-of-00003.safetensors, which its index names",
        ),
    ],
)
def test_a_missing_file_is_named(hub, convert, lacking, message, tmp_path):
    del hub.files["pytorch_model.bin"]
    if lacking.startswith("model-"):
        from checkpoints import huggingface_tensors

        hub.files |= contents(write_shards(tmp_path / "files", huggingface_tensors(MATRICES)))
        del hub.files["model.safetensors"]
    del hub.files[lacking]
    code, _, error = convert()
    assert (code, error.splitlines()[-1].startswith(f"Error: {MODEL} {message}")) == (2, True), error


def test_what_the_hub_refuses_is_one_line_with_the_way_out(hub, convert):
    nobody = "nobody/nothing is neither a file or folder here nor a model on the hub: check the name"
    assert convert(model="nobody/nothing")[::2] == (2, f"Error: {nobody}")
    revision = f"Error: {MODEL} has no revision 'v9': give another --revision"
    assert convert("--revision", "v9")[::2] == (2, revision)
    hub.gated = True
    gated = f"Error: {MODEL} must be unlocked: accept its terms on the hub, then `hf auth login`"
    assert convert()[::2] == (2, gated)


def test_offline_without_a_copy_is_one_line(convert):
    message = f"Error: {MODEL} is not whole in the hub's cache, and the hub cannot be reached: run again when it can"
    assert convert(HF_HUB_OFFLINE="1")[::2] == (2, message)


def test_without_the_library_the_way_to_install_it_is_told(monkeypatch):
    from sheetgpt.convert import open_source
    from sheetgpt.errors import ConvertError

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConvertError, match=r"someone/small is no file or folder here; for models on the hub: pip"):
        open_source(MODEL)
