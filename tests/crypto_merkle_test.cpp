// Goal: the tree is RFC 6962's; every proof of every pair of small sizes verifies, and none that was changed does.
#include <doctest/doctest.h>

#include <bit>
#include <map>

#include "crypto/hash.h"
#include "crypto/merkle.h"
#include "tests/vectors.h"

using namespace dozo;
using namespace dozo::crypto;

namespace {

/// MTH as RFC 6962, 2.1 writes it down.
Digest naive_root(std::span<const Bytes> entries) {
  if (entries.empty()) return sha256(ByteView{});
  if (entries.size() == 1) return leaf_hash(entries[0]);
  const std::size_t left = std::bit_floor(entries.size() - 1);
  return node_hash(naive_root(entries.first(left)), naive_root(entries.subspan(left)));
}

struct Log {
  std::vector<Bytes> entries;
  std::map<SubtreeId, Digest> kept;
  std::vector<Frontier> at{Frontier{}};

  void append(Bytes entry) {
    Frontier next = at.back();
    next.append(leaf_hash(entry), [&](const SubtreeId& id, const Digest& hash) { kept.emplace(id, hash); });
    at.push_back(next);
    entries.push_back(std::move(entry));
  }
  Fetch fetch() const {
    return [this](const SubtreeId& id) -> Result<Digest> {
      const auto found = kept.find(id);
      if (found == kept.end()) return fail(Fault::not_found, "no such subtree");
      return found->second;
    };
  }
};

Log numbered(std::size_t size) {
  Log log;
  for (std::size_t i = 0; i < size; ++i) log.append(bytes_of("entry " + std::to_string(i)));
  return log;
}

}  // namespace

TEST_CASE("merkle: the eight leaves of the published example have the published roots") {
  Log log;
  for (const char* hex : {"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"})
    log.append(from_hex(hex).value());
  const char* roots[] = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                         "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                         "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                         "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
  for (std::size_t size = 0; size <= 8; ++size) CHECK(log.at[size].root().hex() == roots[size]);
  CHECK(empty_root().hex() == roots[0]);
  CHECK(leaf_hash(view_of("L123456")).hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56");
}

TEST_CASE("merkle: roots, kept subtrees and proofs agree with the definition for all pairs of sizes up to 130") {
  const Log log = numbered(130);
  for (std::size_t size = 0; size <= 130; ++size) {
    const Digest root = naive_root(std::span(log.entries).first(size));
    CHECK(log.at[size].root() == root);
    CHECK(root_at(size, log.fetch()).value() == root);
    CHECK(Frontier::decode(log.at[size].encode()).value() == log.at[size]);
    for (std::size_t from = 1; from <= size; ++from) {
      const auto proof = consistency_proof(from, size, log.fetch()).value();
      CHECK(log.at[from].check_growth(size, root, proof));
      auto changed = proof;
      if (!changed.empty()) {
        changed[(from * 7) % changed.size()].bytes[3] ^= 1;
        CHECK(!log.at[from].check_growth(size, root, changed));
        changed = proof;
        changed.pop_back();
        CHECK(!log.at[from].check_growth(size, root, changed));
      }
      changed = proof;
      changed.push_back(root);
      CHECK(!log.at[from].check_growth(size, root, changed));
      const Digest leaf = leaf_hash(log.entries[from - 1]);
      const auto path = inclusion_proof(from - 1, size, log.fetch()).value();
      CHECK(check_inclusion(from - 1, size, leaf, root, path));
      CHECK(!check_inclusion(from - 1, size, leaf_hash(view_of("other")), root, path));
      if (size > 1) CHECK(!check_inclusion((from - 1) ^ 1, size, leaf, root, path));
    }
  }
}

TEST_CASE("merkle: a frontier of the wrong length is refused") {
  Bytes bytes = numbered(5).at[5].encode();
  CHECK(!Frontier::decode(ByteView(bytes).first(7)));
  CHECK(!Frontier::decode(ByteView(bytes).first(bytes.size() - 1)));
  bytes.push_back(0);
  CHECK(!Frontier::decode(bytes));
  // As long as its size wants, and of a size that would overflow at the next append.
  Bytes endless(8 + 64 * Digest::size, 0xff);
  CHECK(Frontier::decode(endless).error().fault == Fault::malformed);
}

TEST_CASE("merkle: an empty log grows into any, by the empty proof alone") {
  const Frontier empty;
  const Log log = numbered(3);
  CHECK(empty.check_growth(3, log.at[3].root(), {}));
  CHECK(!empty.check_growth(3, log.at[3].root(), std::vector{log.at[1].root()}));
  CHECK(empty.check_growth(0, empty_root(), {}));
  CHECK(!empty.check_growth(0, log.at[3].root(), {}));
  CHECK(!log.at[3].check_growth(2, log.at[2].root(), {}));
  CHECK(!log.at[3].check_growth(3, log.at[2].root(), {}));
}

TEST_CASE("merkle: the published suites of proofs decide as published") {
  const auto folder = vectors::folder();
  if (!folder) return;
  const auto digests = [](const nlohmann::json& list) {
    std::vector<Digest> out;
    bool proper = true;
    if (list.is_array()) {
      for (const auto& text : list) {
        const auto digest = Digest::from(from_base64(text.get<std::string>()).value());
        proper = proper && digest;
        out.push_back(digest.value_or(Digest{}));
      }
    }
    return std::pair(out, proper);
  };
  bool proper_roots = true;
  // Where the suite does not care what a root is, it is no digest: any stand-in that keeps equal ones equal will do.
  const auto digest_of = [&](const nlohmann::json& text) {
    const Bytes bytes = from_base64(text.is_null() ? "" : text.get<std::string>()).value();
    proper_roots = proper_roots && !bytes.empty();
    return Digest::from(bytes).value_or(sha256(bytes));
  };
  std::size_t count = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(*folder / "merkle")) {
    if (file.path().extension() != ".json") continue;
    const nlohmann::json it = vectors::load(file.path());
    const auto [proof, proper] = digests(it["proof"]);
    bool good = proper;
    proper_roots = true;
    if (file.path().string().find("/consistency/") != std::string::npos) {
      const auto from_root = digest_of(it["root1"]), root = digest_of(it["root2"]);
      const auto from = it["size1"].get<std::uint64_t>(), size = it["size2"].get<std::uint64_t>();
      good = good && check_consistency(from, size, from_root, root, proof).has_value();
      if (from == 0) continue;  // the suite lets an empty tree be a prefix of any; ours never asks that
    } else {
      const auto leaf = digest_of(it["leafHash"]), root = digest_of(it["root"]);
      good = good && check_inclusion(it["leafIdx"].get<std::uint64_t>(), it["treeSize"].get<std::uint64_t>(), leaf, root, proof).has_value();
    }
    CHECK_MESSAGE((good && proper_roots) == !it["wantErr"].get<bool>(), file.path().string());
    ++count;
  }
  CHECK(count > 150);
}
