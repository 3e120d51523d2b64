// Git backend: a bare, in-memory libgit2 repository whose objects and references live in a GitShelf, and nowhere else.
//
// libgit2 gets an object database and a reference database of our own, an empty configuration and no search path for others: it neither
// reads nor writes a file. It checks the SHA-1 of everything that it reads. Its network, submodule, checkout and revparse functions are
// never used. Abbreviated ids find nothing; references have no log; packs are not written.
// Threads: a repository and its shelf belong to one thread. The callbacks never enter the repository again, and no exception crosses libgit2.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "store/git_objects.h"

struct git_repository;

namespace dozo::store {

/// libgit2 once per process. Nobody's configuration is read; objects are checked when read; at most 64 MiB of plain trees are cached.
void start_libgit2();

struct GitObject {
  GitKind kind{};
  Bytes body;
};

/// A reference: to an object, or to another reference by name ("HEAD").
struct GitRef {
  std::string name;
  std::optional<GitId> id;
  std::string target;  ///< where there is no id
  friend bool operator==(const GitRef&, const GitRef&) = default;
};

/// What the repository stands on. A call sees what earlier calls wrote.
class GitShelf {
 public:
  virtual ~GitShelf() = default;
  virtual Result<std::optional<GitObject>> get(const GitId& id) = 0;
  virtual Result<bool> has(const GitId& id) = 0;
  virtual Result<void> put(const GitId& id, GitKind kind, ByteView body) = 0;  ///< Fault: denied where the shelf is open for reading only
  /// The next put is probably a small change of this object, and may be kept as such; nothing: it is not.
  virtual void expect_change_of(const std::optional<GitId>& base) = 0;
  virtual Result<void> each_id(const std::function<bool(const GitId&)>& take) = 0;
  virtual Result<std::optional<GitRef>> get_ref(std::string_view name) = 0;
  virtual Result<void> put_ref(const GitRef& ref) = 0;
  virtual Result<void> drop_ref(std::string_view name) = 0;
  virtual Result<void> each_ref(const std::function<bool(const GitRef&)>& take) = 0;
};

class GitRepository {
 public:
  /// The shelf must outlive the repository. libgit2 caches what it has read: a repository must not be used once its shelf has lost a write.
  static Result<std::unique_ptr<GitRepository>> over(GitShelf& shelf);
  ~GitRepository();
  GitRepository(const GitRepository&) = delete;
  GitRepository& operator=(const GitRepository&) = delete;

  /// The object's id; written unless it is there. `base`: what it is probably a small change of.
  Result<GitId> write(GitKind kind, ByteView body, const std::optional<GitId>& base = std::nullopt);
  /// Faults: not_found; corrupt (its id or kind does not fit), and the shelf's.
  Result<Bytes> read(GitKind kind, const GitId& id);

  /// For libgit2's own walks, as long as this lives.
  git_repository* raw() const;
  /// The fault of the shelf behind libgit2's last failure, or `otherwise` with libgit2's text. Clears it.
  Error trouble(Fault otherwise);

 private:
  struct Body;
  explicit GitRepository(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace dozo::store
