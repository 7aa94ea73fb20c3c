"""What is never indexed, or not unless ``.gardenerignore`` says so, on any project."""

from __future__ import annotations

import re
from typing import Final

VERSION_CONTROL: Final = frozenset(
    {".git", ".hg", ".svn", ".jj", ".bzr", "CVS", "_darcs", ".pijul", ".sl"}
)

SECRET_FOLDERS: Final = frozenset({".ssh", ".gnupg", ".aws", ".kube", ".docker"})

# Names whose content IS a secret. credentials.py and the like are source code: the scan of the
# content decides on those.
_SECRET: Final = re.compile(
    r"\.env(rc|[._-].*)?|.*\.env"
    r"|.*\.(pem|key|p8|p12|pfx|pkcs12|jks|keystore|kdbx|ppk|gpg|asc|ovpn|mobileprovision)"
    r"|.*\.tfstate(\..*)?|.*\.tfvars"
    r"|id_(rsa|dsa|ecdsa|ed25519)(\..*)?"
    r"|[._](npmrc|netrc|pypirc|pgpass|htpasswd|dockercfg|git-credentials|s3cfg|boto|vault-token"
    r"|my\.cnf|yarnrc\.yml)"
    r"|(credentials?|secrets?|service[-_]account.*|client[-_]secret.*)"
    r"(\.(json|ya?ml|toml|ini|xml|csv|txt|enc|properties|conf|cfg|db))?"
    r"|kubeconfig",
    re.IGNORECASE,
)

BINARY: Final = frozenset(
    """
    png jpg jpeg gif bmp ico icns webp avif tif tiff psd ai eps heic raw svgz
    mp3 mp4 m4a m4v wav ogg flac aac avi mov mkv webm wmv
    pdf doc docx xls xlsx ppt pptx odt ods odp epub mobi
    zip gz tgz bz2 tbz xz txz zst 7z rar tar jar war ear whl egg deb rpm dmg iso img pkg apk ipa
    exe dll so dylib a o obj lib class pyc pyo pyd wasm beam node elc bc
    ttf otf woff woff2 eot
    db sqlite sqlite3 mdb parquet arrow feather avro orc npy npz h5 hdf5 pkl pickle joblib mat rds
    safetensors gguf ggml onnx pt pth ckpt bin dat tflite pb model mlmodel keras
    blend fbx glb stl dwg swf lmdb pack idx
    """.split()  # noqa: SIM905 - a list of 140 quoted words is no easier to read
)

# In .gardenerignore's own syntax, and weaker than it: "!vendor/" there takes vendor/ back.
DEFAULTS: Final = """
node_modules/
bower_components/
jspm_packages/
.venv/
venv/
virtualenv/
site-packages/
__pycache__/
__pypackages__/
.tox/
.nox/
.eggs/
*.egg-info/
*.dist-info/
.mypy_cache/
.pytest_cache/
.ruff_cache/
.hypothesis/
.ipynb_checkpoints/
.cache/
.gradle/
.next/
.nuxt/
.svelte-kit/
.turbo/
.parcel-cache/
.angular/
.terraform/
.serverless/
.dart_tool/
.idea/
.vs/
DerivedData/
Pods/
Carthage/
htmlcov/
coverage/
build/
dist/
out/
target/
vendor/
vendored/
_vendor/
third_party/
third-party/
thirdparty/
*.min.js
*.min.mjs
*.min.css
*.bundle.js
*.chunk.js
*.map
*.pb.go
*.pb.cc
*.pb.h
*_pb2.py
*_pb2.pyi
*_pb2_grpc.py
*.g.dart
*.freezed.dart
*.designer.cs
*.generated.*
*_generated.go
zz_generated.*
*.snap
*.lock
package-lock.json
npm-shrinkwrap.json
pnpm-lock.yaml
bun.lockb
go.sum
go.work.sum
*.log
*.swp
*.swo
*~
.DS_Store
Thumbs.db
""".split()  # noqa: SIM905

OUTPUTS: Final = frozenset({"build", "dist", "out", "target"})
"""Left out as well, unless they are Python packages: tools write them, people seldom do."""

MARKERS: Final = ("pyvenv.cfg", "CACHEDIR.TAG")
"""A folder that holds one is a virtual environment or a cache (bford.info/cachedir)."""


def is_secret(name: str) -> bool:
    """Whether a file of this name is a secret as a whole."""
    return _SECRET.fullmatch(name) is not None


def is_binary(name: str) -> bool:
    """Whether the extension tells that the file is not text."""
    return name.rpartition(".")[2].lower() in BINARY if "." in name[1:] else False
