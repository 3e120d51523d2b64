#!/usr/bin/env python3
"""That tests/arrows.py can fail: small trees, each with one mistake, and what it says about it. The tree without a mistake passes."""
import os
import subprocess
import sys
import tempfile

ARROWS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "arrows.py")
GOOD = {
    "base/archive.h": "#include <cereal/cereal.hpp>\n#include <vector>\n",
    "base/CMakeLists.txt": "add_library(dozo_base STATIC)\nadd_library(dozo::base ALIAS dozo_base)\ntarget_link_libraries(dozo_base PUBLIC fmt::fmt)\n",
    "crypto/hash.cpp": '#include <openssl/evp.h>\n#include <sodium.h>\n#include "base/archive.h"\n',
    "crypto/seeded_random.h": "#pragma once\n",
    "crypto/CMakeLists.txt": "add_library(dozo_crypto STATIC)\nadd_library(dozo::crypto ALIAS dozo_crypto)\nadd_library(dozo_crypto_seeded STATIC)\n"
                             "target_link_libraries(dozo_crypto PUBLIC dozo::base PRIVATE dozo_strict PkgConfig::SODIUM)\n",
    "policy/policy.h": '#include "base/archive.h"\n',
    "policy/source.cpp": "#include <toml++/toml.h>\n#include <chrono>\n",
    "policy/CMakeLists.txt": "add_library(dozo_policy STATIC)\nadd_library(dozo::policy ALIAS dozo_policy)\n"
                             "target_link_libraries(dozo_policy PUBLIC dozo::crypto PRIVATE nlohmann_json::nlohmann_json)\n",
    "store/kv.h": "#include <sys/stat.h>\n",
    "store/git.h": "#include <git2/oid.h>\n",
    "store/kv.cpp": '#include <lmdb.h>\n#include "store/kv.h"\n',
    "store/CMakeLists.txt": "add_library(dozo_store_kv STATIC)\ntarget_link_libraries(dozo_store_kv PRIVATE PkgConfig::LMDB dozo::crypto)\n",
    "sync/sync.h": '#include "base/archive.h"\n',
    "sync/CMakeLists.txt": "add_library(dozo_sync STATIC)\nadd_library(dozo::sync ALIAS dozo_sync)\ntarget_link_libraries(dozo_sync PUBLIC dozo::base dozo::crypto)\n",
    "node/engine.cpp": '#include "policy/policy.h"\n#include "store/kv.h"\n#include "sync/sync.h"\n',
    "node/home.cpp": "#include <toml++/toml.h>\n",
    "node/CMakeLists.txt": "add_library(dozo_node STATIC)\ntarget_link_libraries(dozo_node PUBLIC dozo_store_kv dozo::sync dozo::policy PkgConfig::ZMQ)\n",
    "tools/dozo.cpp": '#include <CLI/CLI.hpp>\n#include "policy/policy.h"\n',
    "tools/CMakeLists.txt": "add_executable(dozo dozo.cpp)\ntarget_link_libraries(dozo PRIVATE dozo_node CLI11::CLI11)\n",
    "tests/all_test.cpp": '#include <doctest/doctest.h>\n#include <lmdb.h>\n#include <zmq.h>\n#include "crypto/seeded_random.h"\n#include "store/kv.h"\n',
}
# What is put into the tree: path, text, and what must be said. Nothing to be said: it must pass.
CASES = [
    ("a comment is no include", "base/a.h", '// #include "store/kv.h"\n/* #include <lmdb.h>\n#include <zmq.h> */\n', None),
    ("base knows nobody", "base/a.h", '#include "crypto/hash.h"\n', '"crypto/hash.h" is not there'),
    ("base includes crypto", "base/a.h", '#include "crypto/seeded_random.h"\n', "base must not include crypto"),
    ("crypto includes policy", "crypto/a.h", '#include "policy/policy.h"\n', "crypto must not include policy"),
    ("crypto includes node", "crypto/a.cpp", '#include "node/home.cpp"\n', "crypto must not include node"),
    ("store includes sync", "store/a.h", '#include "sync/sync.h"\n', "store must not include sync"),
    ("store includes policy", "store/a.cpp", '  #  include "policy/policy.h"\n', "store must not include policy"),
    ("sync includes store", "sync/a.h", '#include "store/kv.h"\n', "sync must not include store"),
    ("sync includes policy", "sync/a.h", '#include "policy/policy.h"\n', "sync must not include policy"),
    ("policy includes store", "policy/a.h", '#include "store/kv.h"\n', "policy must not include store"),
    ("policy includes sync", "policy/a.h", '#include "sync/sync.h"\n', "policy must not include sync"),
    ("node includes tools", "node/a.h", '#include "tools/dozo.cpp"\n', "node must not include tools"),
    ("tools includes tests", "tools/a.h", '#include "tests/all_test.cpp"\n', "tools must not include tests"),
    ("tests may include all", "tests/a.h", '#include "tools/dozo.cpp"\n#include "sync/sync.h"\n', None),
    ("an include by a nickname", "store/a.h", '#include "kv.h"\n', '"kv.h" is not there'),
    ("an include out of the tree", "store/a.h", '#include "../sync/sync.h"\n', '"../sync/sync.h" is not there'),
    ("an include by a detour", "store/a.h", '#include "store/../sync/sync.h"\n', '"store/../sync/sync.h" is not there'),
    ("an include behind a macro", "store/a.h", "#include WHAT\n", "no plain name"),
    ("a source in no room", "extras/a.cpp", "\n", "lies in no room"),
    ("a source at the top", "a.cpp", "\n", "lies in no room"),
    ("LMDB outside store", "node/a.cpp", "#include <lmdb.h>\n", "<lmdb.h> is not for this place"),
    ("libgit2 outside store", "node/a.cpp", "#include <git2/sys/refs.h>\n", "<git2/sys/refs.h> is not for this place"),
    ("zstd outside store", "sync/a.cpp", "#include <zstd.h>\n", "<zstd.h> is not for this place"),
    ("libsodium outside crypto", "store/a.cpp", "#include <sodium.h>\n", "<sodium.h> is not for this place"),
    ("libcrypto outside crypto", "node/a.cpp", "#include <openssl/sha.h>\n", "<openssl/sha.h> is not for this place"),
    ("libgfshare outside crypto", "tools/a.cpp", "#include <libgfshare.h>\n", "<libgfshare.h> is not for this place"),
    ("ZeroMQ outside node", "sync/a.cpp", "#include <zmq.hpp>\n", "<zmq.hpp> is not for this place"),
    ("cereal outside base", "sync/a.cpp", "#include <cereal/types/vector.hpp>\n", "<cereal/types/vector.hpp> is not for this place"),
    ("JSON outside policy", "node/a.cpp", "#include <nlohmann/json.hpp>\n", "<nlohmann/json.hpp> is not for this place"),
    ("JSON in tools", "tools/a.cpp", "#include <nlohmann/json.hpp>\n", None),
    ("TOML elsewhere in node", "node/engine.h", "#include <toml++/toml.h>\n", "<toml++/toml.h> is not for this place"),
    ("CLI11 outside tools", "node/a.cpp", "#include <CLI/CLI.hpp>\n", "<CLI/CLI.hpp> is not for this place"),
    ("libarchive elsewhere in tools", "tools/dozo.cpp", "#include <archive_entry.h>\n", "<archive_entry.h> is not for this place"),
    ("spdlog outside node", "store/a.cpp", "#include <spdlog/spdlog.h>\n", "<spdlog/spdlog.h> is not for this place"),
    ("a library by way of a header", "node/a.cpp", '#include "store/git.h"\n', "<git2/oid.h> is not for this place, through store/git.h"),
    ("an unknown library", "tools/a.cpp", "#include <curl/curl.h>\n", "no library that was decided on"),
    ("doctest outside tests", "store/a.cpp", "#include <doctest/doctest.h>\n", "no library that was decided on"),
    ("a clock in sync", "sync/a.cpp", "#include <chrono>\n", "sync is given time"),
    ("a thread in policy", "policy/a.cpp", "#include <thread>\n", "policy is given time"),
    ("a file in base", "base/a.cpp", "#include <fcntl.h>\n", "base is given time"),
    ("repeatable dice in node", "node/a.cpp", '#include "crypto/seeded_random.h"\n', "for test programs alone"),
    ("store links sync", "store/CMakeLists.txt", "add_library(dozo_store STATIC)\ntarget_link_libraries(dozo_store PUBLIC dozo::sync)\n", "store must not link sync"),
    ("sync links a part of store", "sync/CMakeLists.txt", "add_library(dozo_sync STATIC)\nadd_library(dozo::sync ALIAS dozo_sync)\n"
     "target_link_libraries(dozo_sync PUBLIC\n  dozo_store_kv)\n", "sync must not link store (dozo_store_kv)"),
    ("policy links node", "policy/CMakeLists.txt", "add_library(dozo_policy STATIC)\nadd_library(dozo::policy ALIAS dozo_policy)\n"
     "target_link_libraries(dozo_policy PRIVATE dozo_node)\n", "policy must not link node"),
    ("node links LMDB", "node/CMakeLists.txt", "add_library(dozo_node STATIC)\ntarget_link_libraries(dozo_node PRIVATE PkgConfig::LMDB)\n", "PkgConfig::LMDB is not for node"),
    ("tools links what nobody decided", "tools/CMakeLists.txt", "add_executable(dozo a.cpp)\ntarget_link_libraries(dozo PRIVATE CURL::libcurl)\n", "no library that was decided on"),
    ("tools links repeatable dice", "tools/CMakeLists.txt", "add_executable(dozo a.cpp)\ntarget_link_libraries(dozo PRIVATE dozo_crypto_seeded)\n", "for test programs alone"),
    ("a room links for another", "base/CMakeLists.txt", GOOD["base/CMakeLists.txt"] + "target_link_libraries(dozo_sync PUBLIC fmt::fmt)\n", "is no target of base"),
    ("a comment is no link", "store/CMakeLists.txt", GOOD["store/CMakeLists.txt"] + "# target_link_libraries(dozo_store_kv PUBLIC dozo::sync)\n", None),
]


def said(changes):
    with tempfile.TemporaryDirectory() as tree:
        for path, text in {**GOOD, **changes}.items():
            where = os.path.join(tree, path)
            os.makedirs(os.path.dirname(where), exist_ok=True)
            with open(where, "w", encoding="utf-8") as file:
                file.write(text)
        it = subprocess.run([sys.executable, ARROWS, tree], capture_output=True, text=True, check=False)
        return it.returncode, it.stdout + it.stderr


def main():
    wrong = 0
    for name, path, text, wanted in [("the good tree", "base/a.h", "\n", None), *CASES]:
        status, output = said({path: text})
        good = status == 0 if wanted is None else status == 1 and wanted in output
        if not good:
            print(f"{name}: wanted {wanted!r}, got status {status}:\n{output}")
            wrong += 1
    with tempfile.TemporaryDirectory() as empty:
        if subprocess.run([sys.executable, ARROWS, empty], capture_output=True, check=False).returncode != 2:
            print("an empty tree passes")
            wrong += 1
    print(f"{len(CASES) + 2} trees, {wrong} judged wrongly")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
