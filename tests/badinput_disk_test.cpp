// A full disk: at the node that saves, at the node that receives, and at the start of a daemon.
#include <sys/mount.h>
#include <sys/statvfs.h>

#include "tests/badinput_fixture.h"

using namespace dozo;
using nlohmann::json;
using test::comes_true, test::lines_of, test::one_line, test::Pair, test::Ran, test::slurp, test::spill;
namespace fs = std::filesystem;

namespace {

/// A disk of its own under a folder; away with the object. What fills it lies beside, as a file.
struct SmallDisk {
  fs::path at;
  bool is_mounted;
  SmallDisk(fs::path folder, const std::string& size) : at(std::move(folder)) {
    fs::create_directory(at);
    is_mounted = ::mount("tmpfs", at.c_str(), "tmpfs", 0, ("mode=0700,size=" + size).c_str()) == 0;
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() {
    if (is_mounted) ::umount2(at.c_str(), MNT_DETACH);
  }
  std::uint64_t free_bytes() const {
    struct statvfs status{};
    REQUIRE(::statvfs(at.c_str(), &status) == 0);
    return status.f_bavail * status.f_frsize;
  }
  void fill(std::uint64_t leave_bytes) const {
    const int file = ::open((at / "ballast").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    REQUIRE(file >= 0);
    const std::string page(4096, 'x');
    while (free_bytes() > leave_bytes && ::write(file, page.data(), page.size()) > 0) {
    }
    ::close(file);
  }
  void make_room() const { fs::remove(at / "ballast"); }
};

std::string noise(std::size_t size, std::uint64_t seed) {
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>((seed = seed * 6364136223846793005ULL + 1442695040888963407ULL) >> 56);
  return out;
}
/// Of that process until now, in clock ticks.
long processor_ticks(pid_t pid) {
  const std::string text = slurp("/proc/" + std::to_string(pid) + "/stat");
  std::istringstream in(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) in >> skipped;
  long user = 0, system = 0;
  in >> user >> system;
  return user + system;
}

}  // namespace

TEST_CASE_FIXTURE(Pair, "bad input: a full disk is said, loses nothing, and work goes on when there is room") {
  fs::rename(at("sapporo"), at("made"));
  const SmallDisk disk(at("sapporo"), "48m");
  if (!disk.is_mounted) {
    MESSAGE("skipped: needs the right to mount a small disk");
    return;
  }
  fs::copy(at("made"), at("sapporo"), fs::copy_options::recursive);
  run_both();
  const std::string first = noise(1'000'000, 1), second = noise(6'000'000, 2), third = noise(6'000'000, 3);
  spill(at("first"), first);
  spill(at("second"), second);
  spill(at("third"), third);
  good({"put", "first", "works:", "--held", "1", "--timeout", "15", "--home", "sapporo"});

  // The node that saves.
  disk.fill(1'000'000);
  one_line(dozo({"put", "second", "works:", "--home", "sapporo"}), 7, "disk is full");
  one_line(dozo({"put", "second", "works:", "--home", "sapporo"}), 7, "make room");
  CHECK(get("sapporo", "first") == first);
  CHECK(good({"ls", "-r", "works:", "--home", "sapporo"}).out == "first\n");
  CHECK(good({"ls", "-r", "works:", "--home", "head"}).out == "first\n");
  disk.fill(0);
  CHECK(get("sapporo", "first") == first);
  spill(at("note"), "small");
  const Ran note = dozo({"put", "note", "works:", "--home", "sapporo"});
  INFO(note.error);
  if (note.status != 0) one_line(note, 7, "disk is full");  // pages that were freed may have been enough
  disk.make_room();
  good({"put", "second", "note", "works:", "--held", "1", "--timeout", "15", "--home", "sapporo"});
  CHECK(get("head", "second") == second);

  // The node that receives: it pauses, and asks again without hurry.
  disk.fill(500'000);
  good({"put", "third", "works:", "--home", "head"});
  std::this_thread::sleep_for(std::chrono::milliseconds(1'500));
  const long here = processor_ticks(running["sapporo"]), there = processor_ticks(running["head"]);
  std::this_thread::sleep_for(std::chrono::milliseconds(2'000));
  const long ticks_of_two_seconds = 2 * ::sysconf(_SC_CLK_TCK);
  CHECK(processor_ticks(running["sapporo"]) - here < ticks_of_two_seconds / 4);
  CHECK(processor_ticks(running["head"]) - there < ticks_of_two_seconds / 4);
  CHECK(get("sapporo", "third") != third);
  CHECK(get("sapporo", "second") == second);
  const std::string said = log("sapporo");
  INFO(said);
  CHECK(said.find("disk is full") != std::string::npos);
  CHECK(lines_of(said) < 100);
  disk.make_room();
  CHECK(comes_true([&] { return get("sapporo", "third") == third; }, 20'000));

  // At the start.
  CHECK(end("sapporo") == 0);
  disk.fill(0);
  const Ran check = dozod({"sapporo", "--check"});
  INFO(check.error);
  if (check.status != 0) one_line(check, 7, "full");
  disk.make_room();
  start("sapporo");
  for (const auto& [name, content] : {std::pair{"first", first}, {"second", second}, {"third", third}}) CHECK(get("sapporo", name) == content);
  CHECK(end("sapporo") == 0);
}
