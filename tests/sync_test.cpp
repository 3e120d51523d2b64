// Goal: nodes that share a library come to hold the same of it, whatever is lost on the way; nobody else learns anything; when all is told, all is quiet.
#include "tests/sync_fixture.h"

using namespace dozo;
using namespace dozo::sync;
using fake::Net;

namespace {

const LibraryId works = fake::library(1);

Net pair_of_nodes() {
  Net net(2);
  net.all_know();
  net.share(works, {0, 1});
  return net;
}

}  // namespace

TEST_CASE("sync: entries and packs pass, and then all is quiet") {
  Net net = pair_of_nodes();
  for (int i = 0; i < 5; ++i) net.nodes[0].store.save_pack(fake::feed(works, "a"), fake::pack_bytes(i, 200'000 + static_cast<std::size_t>(i) * 70'000));
  net.nodes[1].store.save(fake::feed(works, "b"), "nothing");
  net.link(0, 1);
  CHECK(net.run(5'000, [&] { return net.nodes[1].store.packs.size() == 5 && net.in_step(0, 1); }));
  CHECK(net.same_feeds(0, 1, works));
  CHECK(net.nodes[1].kept == 5);
  CHECK(net.refused(0, 1) + net.refused(1, 0) == 0);
  net.run(2'000);
  const std::uint64_t before = net.messages_sent;
  net.run(300'000);
  CHECK(net.messages_sent - before <= 22);
}
