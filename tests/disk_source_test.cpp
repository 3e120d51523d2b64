// Disk source: what is read is a file as it was at one time, or is said to have changed.
#include "node/disk_source.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include "tests/scratch.h"

using namespace dozo;
using namespace dozo::node;

TEST_CASE("disk source: a file is never read half old and half new while one write into it is under way") {
  // A write sets the times when it begins. On a busy machine one had begun before the file was opened and was still going on when it had been read: here
  // the writer gives way on the processor that both share.
  cpu_set_t one_processor;
  CPU_ZERO(&one_processor);
  CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one_processor);
  cpu_set_t all_processors;
  REQUIRE(::sched_getaffinity(0, sizeof all_processors, &all_processors) == 0);
  REQUIRE(::sched_setaffinity(0, sizeof one_processor, &one_processor) == 0);
  const test::Scratch scratch;
  const std::string path = (scratch.path / "turns").string();
  constexpr std::size_t size = 64U << 20;
  std::string text(size, 'a');
  std::ofstream(path, std::ios::binary) << text;
  std::size_t met = 0;
  for (int round = 0; round < 4; ++round) {
    const char letter = round % 2 == 0 ? 'b' : 'a';
    std::ranges::fill(text, letter);
    struct stat before{}, now{};
    REQUIRE(::stat(path.c_str(), &before) == 0);
    bool written = false;
    std::thread writer([&] {
      static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19));
      const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
      written = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
      ::close(file);
    });
    do {
      REQUIRE(::stat(path.c_str(), &now) == 0);
    } while (now.st_mtim.tv_sec == before.st_mtim.tv_sec && now.st_mtim.tv_nsec == before.st_mtim.tv_nsec);
    DiskFolder alone(path);
    auto source = DiskSource::open(alone);
    REQUIRE(source);
    Bytes read(size);
    std::size_t filled = 0;
    for (std::size_t count = 1; count > 0 && filled < size; filled += count) {
      const auto got = source->read(ByteSpan(read).subspan(filled));
      REQUIRE(got);
      count = *got;
    }
    const auto changed = source->changed_meanwhile();
    REQUIRE(changed);
    writer.join();
    REQUIRE(written);
    if (*changed) continue;
    ++met;
    CHECK(filled == size);
    CHECK(std::ranges::all_of(read, [&](std::uint8_t byte) { return byte == read.front(); }));
  }
  REQUIRE(::sched_setaffinity(0, sizeof all_processors, &all_processors) == 0);
  CHECK(met > 0);
}
