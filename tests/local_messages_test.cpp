// Goal: every request and answer survives the way, and no other bytes become one.
#include <doctest/doctest.h>

#include "node/local_messages.h"

using namespace dozo;
using namespace dozo::node::local;

namespace {

template <class Variant, std::size_t i = 0, class Work>
void each_kind(const Work& work) {
  if constexpr (i < std::variant_size_v<Variant>) {
    work(Variant(std::in_place_index<i>));
    each_kind<Variant, i + 1>(work);
  }
}

}  // namespace

TEST_CASE("local messages: every kind comes back as itself, and no truncation does") {
  each_kind<Request>([](const Request& request) {
    const Bytes bytes = encode_request(request);
    CHECK(decode_request(bytes).value().index() == request.index());
    CHECK(encode_request(*decode_request(bytes)) == bytes);
    for (std::size_t size = 0; size < bytes.size(); ++size) CHECK(!decode_request(ByteView(bytes).first(size)));
  });
  each_kind<Answer>([](const Answer& answer) {
    const Bytes bytes = encode_answer(answer);
    CHECK(decode_answer(bytes).value().index() == answer.index());
    CHECK(encode_answer(*decode_answer(bytes)) == bytes);
    for (std::size_t size = 0; size < bytes.size(); ++size) CHECK(!decode_answer(ByteView(bytes).first(size)));
  });
}

TEST_CASE("local messages: fields keep their content") {
  const auto put = std::get<PutRequest>(*decode_request(encode_request(PutRequest{"works", "/home/図", "図面", "text", {"*.tmp", "~*"}, true})));
  CHECK((put.library == "works" && put.source == "/home/図" && put.target == "図面" && put.text == "text" &&
         put.exclude == std::vector<std::string>{"*.tmp", "~*"} && put.contents_only));
  const auto resolve = std::get<ResolveRequest>(*decode_request(encode_request(ResolveRequest{"works", "a", "", "b"})));
  CHECK((resolve.use == "b" && resolve.path == "a"));
  CHECK(!std::get<ResolveRequest>(*decode_request(encode_request(ResolveRequest{"works", "a", "", std::nullopt}))).use);
  Listing listing;
  listing.rows.resize(3);
  listing.rows[1].path = "a\xff";
  listing.more = true;
  CHECK(std::get<Listing>(*decode_answer(encode_answer(listing))).rows[1].path == "a\xff");
}

TEST_CASE("local messages: another version is said to be one") {
  Bytes bytes = encode_request(StatusRequest{});
  bytes[1] = 9;
  CHECK(decode_request(bytes).error().fault == Fault::unsupported);
}
