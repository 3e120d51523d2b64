// Unpack: an archive that nobody vouches for, into a folder of its own, where it can be looked at as a whole before anything is saved.
//
// Nothing leaves the folder: no absolute name, no "..", no name through a link. What is not taken is named. As with tar, of two things with one name the last
// counts. A hard link becomes a file of its own.
// Not here: how archives are read (tar.h), what is done with the folder.
// Threads: one.
#pragma once
#include <string>
#include <vector>

#include "tools/command.h"
#include "tools/tar.h"

namespace dozo::tools {

/// A new folder of mode 0700 below TMPDIR, else /var/tmp, as an archive may be large. It goes with all that is in it when this does.
class PrivateFolder {
 public:
  static Result<PrivateFolder> make();
  PrivateFolder(PrivateFolder&& other) noexcept;
  PrivateFolder& operator=(PrivateFolder&&) = delete;
  ~PrivateFolder();
  const std::string& path() const { return path_; }  ///< absolute

 private:
  explicit PrivateFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

/// All that the archive has. What is not taken comes back, and why: one line each, the first thousand. Faults: malformed (it is damaged or cut off),
/// unavailable (there is no room for what it says that it has; interrupted), denied, those of the reader. Then the folder has a part of it.
Result<std::vector<std::string>> unpack(TarReader& from, const PrivateFolder& to, ProgressLine& line);

}  // namespace dozo::tools
