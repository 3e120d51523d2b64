// Source: every mistake that people make in policy.toml is found, with its line, and where it can be guessed with what was meant.
#include "policy/source.h"

#include "tests/policy_fixture.h"

using namespace dozo;
using namespace dozo::policy_fixture;

namespace {

/// The line, from 1, on which `text` stands first.
std::uint32_t line_of(const std::string& in, const std::string& text) {
  const auto at = in.find(text);
  REQUIRE_MESSAGE(at != std::string::npos, text);
  return static_cast<std::uint32_t>(1 + std::count(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

/// That this source has one mistake: on the line where `at` stands, in these words, with that suggestion.
void one_mistake(const std::string& source, const std::string& at, const std::string& says, const std::string& suggestion = "") {
  const auto mistakes = check(source, "policy.toml", 0).mistakes;
  INFO(source.substr(source.size() > 300 ? source.size() - 300 : 0));
  std::string all;
  for (const Mistake& it : mistakes) all += policy::text_of(it) + "\n";
  INFO(all);
  REQUIRE(mistakes.size() == 1);
  CHECK(mistakes[0].file == "policy.toml");
  CHECK(mistakes[0].line == line_of(source, at));
  CHECK_MESSAGE(mistakes[0].text.find(says) != std::string::npos, mistakes[0].text);
  CHECK(mistakes[0].suggestion == suggestion);
}
/// The same of one among `count` mistakes, as one slip may break two things.
void only(const std::string& source, const std::string& at, const std::string& says, const std::string& suggestion = "", std::size_t count = 1) {
  const auto mistakes = check(source, "policy.toml", 0).mistakes;
  std::string all;
  for (const Mistake& it : mistakes) all += policy::text_of(it) + "\n";
  INFO(all);
  CHECK(mistakes.size() == count);
  CHECK(std::any_of(mistakes.begin(), mistakes.end(), [&](const Mistake& it) {
    return it.line == line_of(source, at) && it.text.find(says) != std::string::npos && it.suggestion == suggestion;
  }));
}
void changed(const std::string& from, const std::string& to, const std::string& at, const std::string& says, const std::string& suggestion = "") {
  one_mistake(replaced(country, from, to), at, says, suggestion);
}
void added(const std::string& more, const std::string& at, const std::string& says, const std::string& suggestion = "") {
  one_mistake(country + more, at, says, suggestion);
}
std::string rule(const std::string& of) { return "[[permit]]  # here\nid = \"more\"\n" + of + "\n"; }

}  // namespace

TEST_CASE("source: a good one has no mistakes, and says what it says") {
  const Reading reading = read_source(country, "policy.toml");
  REQUIRE(reading.good());
  CHECK(check(country, "policy.toml", 0).mistakes.empty());
  CHECK(reading.source.realm == "realm");
  CHECK(reading.source.mesh_days == 90);
  CHECK(reading.source.freshness_hours == 24);
  REQUIRE(reading.source.nodes.size() == 6);
  CHECK(reading.source.nodes[5].kind == NodeKind::desk);
  CHECK(reading.source.nodes[5].served_by == "sapporo");
  REQUIRE(reading.source.libraries.size() == 2);
  CHECK(reading.source.libraries[1].duty.copies == 2);
  CHECK(reading.source.libraries[1].title == "工事");
  CHECK(reading.source.people[0].shown == "佐藤");
  CHECK(reading.source.permits[0].actions == std::vector{Action::read, Action::write});
}

TEST_CASE("source: what is no TOML is told with its line") {
  for (const char* more :
       {"[[node]\n", "x = \n", "= 1\n", "realm = \"again\"\n[[permit]]\nid = \"a\"\nid = \"b\"\n", "x = \"\x80\"\n", "d = 2026-02-30\n", "x = 'open\n"}) {
    const auto mistakes = check(country + more, "policy.toml", 0).mistakes;
    INFO(more);
    REQUIRE(mistakes.size() == 1);
    CHECK(mistakes[0].line > std::count(country.begin(), country.end(), '\n'));
    CHECK(mistakes[0].column > 0);
  }
  CHECK(check(std::string(17U << 20, '\n'), "f", 0).mistakes[0].text == "too large");
  CHECK_FALSE(check("x = " + std::string(100'000, '['), "f", 0).mistakes.empty());
  CHECK_FALSE(check("", "f", 0).mistakes.empty());
}

TEST_CASE("source: a mistake as people see it") {
  CHECK(policy::text_of({"policy.toml", 3, 7, "there is no node \"osaka\"", "osaka-1"}) ==
        "policy.toml:3:7: there is no node \"osaka\" (did you mean \"osaka-1\"?)");
  CHECK(policy::text_of({"a", 1, 1, "b", ""}) == "a:1:1: b");
}

TEST_CASE("source: unknown keys and words") {
  changed("zone = \"south\"", "zone = \"south\"\nznoe = \"x\"", "znoe", "unknown key \"znoe\"", "zone");
  changed("realm = \"realm\"", "realm = \"realm\"\nfreshnes_hours = 3", "freshnes_hours", "unknown key", "freshness_hours");
  changed("kind = \"vault\"", "kind = \"valt\"", "kind = \"valt\"", "not known here", "vault");
  changed("holding = \"blind\"", "holding = \"blnd\"", "holding = \"blnd\"", "not known here", "blind");
  changed("actions = [\"read\", \"write\"]", "actions = [\"read\", \"wrtie\"]", "wrtie", "is no action", "write");
  changed("members.naha = { holding = \"blind\" }", "members.naha = { holding = \"blind\", quotta = 3 }", "quotta", "unknown key", "quota");
  added("[[lable]]\nnumber = 1\nname = \"x\"\n", "[[lable]]", "unknown key \"lable\"", "label");
  changed("kind = \"vault\"", "kind = \"something\"", "something", "not known here");  // nothing is near
}

TEST_CASE("source: wrong types, and what is missing") {
  changed("zone = \"south\"", "zone = 3", "zone = 3", "\"zone\" must be a text");
  changed("zone = \"south\"", "", "[[node]]\nname = \"naha\"", "\"zone\" is missing");
  changed("copies = 2", "copies = \"2\"", "copies = \"2\"", "must be a number from 1 to 1000");
  changed("copies = 2", "copies = 2.0", "copies = 2.0", "must be a number");
  changed("copies = 2", "copies = 0", "copies = 0", "must be a number");
  changed("copies = 2", "copies = -1", "copies = -1", "must be a number");
  changed("copies = 2", "copies = 2\nlocks = \"yes\"", "locks", "must be true or false");
  changed("roles = [\"editor\"]\n[[person]]", "roles = \"editor\"\n[[person]]", "roles = \"editor\"", "must be a list, like [\"editor\"]");
  changed("libraries = [\"works\"]", "libraries = []", "libraries = []", "empty: leave it out to mean any");
  changed("libraries = [\"works\"]", "libraries = [\"works\", \"works\"]", "libraries = [", "there twice");
  changed("libraries = [\"works\"]", "libraries = [3]", "libraries = [3]", "not a name");
  changed("title = \"道路課\"", "title = \"two\\nlines\"", "two\\nlines", "text of one line");
  changed("title = \"道路課\"", "title = \"\"", "title = \"\"", "text of one line");
  changed("name = \"naha\"", "name = \"Naha\"", "Naha", "is no name");
  changed("actions = [\"read\", \"write\"]\n", "", "[[permit]]", "\"actions\" is missing");
  changed("members.naha = { holding = \"blind\" }", "members.naha = \"blind\"", "members.naha = \"blind\"", "must be a table, like");
  changed("[[org]]", "[org]", "[org]", "write [[org]]");
  added("[[label]]\nname = \"secret\"\n", "[[label]]", "\"number\" is missing");
  added("[[label]]\nnumber = 0\nname = \"secret\"\n", "number = 0", "must be a number from 1");
}

TEST_CASE("source: shapes that are none of ours are mistakes, and nothing worse") {
  for (const char* more :
       {"x = 1", "node = 3", "node = [3]", "node = [[]]", "library = {}", "person = [{ posts = 3 }]", "person = [{ posts = [3] }]", "label = [{}]",
        "post = [{}]", "permit = [{ actions = {} }]", "test = [{}]", "library = [{ members = 3 }]", "library = [{ members = { a = { b = {} } } }]",
        "mesh_days = 0", "mesh_days = 99999999999999", "realm = 3", "locked_after_days = nan", "person = [{ posts = [{ from = [1] }] }]"})
    CHECK_MESSAGE(!check(more, "f", 0).mistakes.empty(), more);
}

TEST_CASE("source: sizes") {
  const auto quota = [](const std::string& of) {
    return read_source(replaced(country, "members.naha = { holding = \"blind\" }", "members.naha = { holding = \"blind\", quota = " + of + " }"),
                       "policy.toml");
  };
  const auto bytes = [&](const std::string& of) {
    const Reading reading = quota(of);
    REQUIRE_MESSAGE(reading.good(), of);
    for (const SourceMember& it : reading.source.libraries[1].members)
      if (it.node == "naha") return it.quota_bytes;
    return std::uint64_t{0};
  };
  CHECK(bytes("\"500 GiB\"") == 500ULL << 30);
  CHECK(bytes("\"7 B\"") == 7);
  CHECK(bytes("\"8191 TiB\"") == 8191ULL << 40);
  for (const char* bad :
       {"\"500GiB\"", "\"500 GB\"", "\"GiB\"", "\"-1 GiB\"", "\"1.5 GiB\"", "\"8193 TiB\"", "\"999999999 TiB\"", "\"1234567890 B\"", "true", "\"\""})
    CHECK_MESSAGE(quota(bad).mistakes.size() == 1, bad);
}

TEST_CASE("source: names that nothing has") {
  changed("home = \"sapporo\"", "home = \"saporo\"", "[[library]]\nname = \"works\"", "there is no node \"saporo\"", "sapporo");
  changed("members.naha", "members.nahaa", "[[library]]\nname = \"works\"", "there is no node \"nahaa\"", "naha");
  changed("served_by = \"sapporo\"", "served_by = \"sapporro\"", "[[node]]\nname = \"desk\"", "there is no node", "sapporo");
  changed("org = \"roads\"", "org = \"road\"", "[[post]]", "there is no unit \"road\"", "roads");
  changed("post = \"clerk\"", "post = \"clark\"", "[[person]]", "there is no post \"clark\"", "clerk");
  changed("roles = [\"editor\"]\nactions", "roles = [\"editors\"]\nactions", "[[permit]]", "there is no role \"editors\"", "editor");
  changed("libraries = [\"works\"]", "libraries = [\"work\"]", "[[permit]]", "there is no library \"work\"", "works");
  added(rule("people = [\"satou\"]\nactions = [\"read\"]"), "# here", "there is no person \"satou\"", "sato");
  added(rule("posts = [\"clerks\"]\nactions = [\"read\"]"), "# here", "there is no post", "clerk");
  added(rule("orgs = [\"rods\"]\nactions = [\"read\"]"), "# here", "there is no unit", "roads");
  added(rule("nodes = [\"osakka\"]\nactions = [\"write\"]"), "# here", "there is no node", "osaka");
  added(rule("labels = [\"secrt\"]\nactions = [\"write\"]"), "# here", "there is no label \"secrt\"");
}

TEST_CASE("source: two of one name") {
  added("[[node]]  # again\nname = \"osaka\"\nkind = \"bureau\"\nzone = \"west\"\n", "# again", "two of the node \"osaka\"");
  added("[[org]]  # again\nid = \"roads\"\ntitle = \"x\"\n", "# again", "two of the unit");
  added("[[person]]  # again\nname = \"sato\"\nshown = \"x\"\nposts = [{ post = \"clerk\" }]\n", "# again", "two of the person");
  added("[[permit]]  # again\nid = \"editors\"\nactions = [\"read\"]\n", "# again", "two of the rule");
  added("[[forbid]]  # again\nid = \"editors\"\nactions = [\"write\"]\n", "# again", "two of the rule");
  added("[[label]]\nnumber = 1\nname = \"a\"\n[[label]]  # again\nnumber = 1\nname = \"b\"\n", "# again", "two labels have the number 1");
}

TEST_CASE("source: dates") {
  const auto with = [](const std::string& tenure) { return replaced(country, "post = \"clerk\"\n", "post = \"clerk\"\n" + tenure + "\n"); };
  CHECK(check(with("from = 2026-04-01\nuntil = 2027-04-01"), "f", 0).mistakes.empty());
  const auto from = [&](const std::string& date) { return read_source(with("from = " + date), "f").source.people[0].tenures[0].from_s; };
  CHECK(from("2026-04-01") == 1'774'969'200);  // midnight in Japan
  CHECK(from("2026-04-01T09:30:00") == 1'774'969'200 + 9 * hour_s + 1800);
  CHECK(from("2026-04-01T00:30:00Z") == 1'774'969'200 + 9 * hour_s + 1800);
  CHECK(from("2026-04-01T00:00:00+09:00") == 1'774'969'200);
  one_mistake(with("from = 2027-04-01\nuntil = 2026-04-01"), "[[person]]", "ends before it begins");
  one_mistake(with("from = 2026-04-01\nuntil = 2026-04-01"), "[[person]]", "ends before it begins");
  one_mistake(with("from = \"2026-04-01\""), "from = ", "must be a date");
  one_mistake(with("from = 1970-01-01"), "from = ", "must be a date after 1970");
  one_mistake(with("from = 09:30:00"), "from = ", "must be a date");
  added(rule("actions = [\"read\"]\nfrom = 2027-01-01\nuntil = 2026-01-01"), "# here", "ends before it begins");
}

TEST_CASE("source: libraries that cannot be as they are written") {
  changed("copies = 2", "copies = 4", "[[library]]\nname = \"works\"", "cannot give 4 copies: there are 3");
  changed("copies = 2", "copies = 3\nkeyed = 3", "[[library]]\nname = \"works\"", "cannot give 3 keyed copies: there are 2");
  changed("title = \"図面\"\n", "title = \"図面\"\nzones = 2\n", "[[library]]\nname = \"plans\"", "\"copies\" is less than");
  one_mistake(replaced(replaced(country, "title = \"図面\"\n", "title = \"図面\"\ncopies = 2\nzones = 2\n"), "zone = \"tokyo\"", "zone = \"west\""),
              "[[library]]\nname = \"plans\"", "cannot give 2 zones: there are 1");
}

TEST_CASE("source: nodes and members that do not go together") {
  changed("members.naha = { holding = \"blind\" }", "members.naha = { holding = \"full\" }", "[[library]]\nname = \"works\"", "is a vault: it holds blind");
  changed("members.naha = { holding = \"blind\" }", "members.naha = { holding = \"blind\", write = true }", "[[library]]\nname = \"works\"",
          "holds blind, and so cannot write");
  changed("members.naha = { holding = \"blind\" }", "members.desk = { holding = \"full\" }", "[[library]]\nname = \"works\"", "is a desk: name the bureau");
  changed("home = \"sapporo\"", "home = \"naha\"", "[[library]]\nname = \"works\"", "must be a member with holding = \"full\" and write = true");
  changed("home = \"sapporo\"", "home = \"osaka\"", "[[library]]\nname = \"works\"", "must be a member");
  changed("members.sapporo = { holding = \"full\", write = true }", "members.sapporo = { holding = \"full\" }", "[[library]]\nname = \"works\"",
          "must be a member");
  changed("served_by = \"sapporo\"", "served_by = \"naha\"", "[[node]]\nname = \"desk\"", "served by a bureau");
  changed("served_by = \"sapporo\"", "served_by = \"desk\"", "[[node]]\nname = \"desk\"", "served by a bureau");
  changed("served_by = \"sapporo\"\n", "", "[[node]]\nname = \"desk\"", "\"served_by\" names the bureau of a desk");
  changed("zone = \"south\"", "zone = \"south\"\nserved_by = \"sapporo\"", "[[node]]\nname = \"naha\"", "is for desks only");
  // Nobody would speak for HQ.
  changed("kind = \"hq\"", "kind = \"bureau\"", "realm = ", "there is no node of kind \"hq\"");
}

TEST_CASE("source: rules that mislead") {
  const std::string label = "[[label]]\nnumber = 5\nname = \"secret\"\n";
  added(label + rule("labels = [\"secret\"]\nactions = [\"read\"]"), "# here", "reading is decided by the library, not by labels");
  CHECK(check(country + label + rule("labels = [\"secret\", \"none\"]\nactions = [\"write\"]"), "f", 0).mistakes.empty());
  added(rule("actions = [\"replicate\"]"), "# here", "who replicates is said by the members");
  added("[[label]]  # here\nnumber = 5\nname = \"none\"\n", "# here", "\"none\"");  // would hide the word for no label
  // Nobody can fit it.
  added("[[org]]\nid = \"rivers\"\ntitle = \"x\"\n" + rule("posts = [\"clerk\"]\norgs = [\"rivers\"]\nactions = [\"read\"]"), "# here", "can never match");
  added(
      "[[post]]\nid = \"chief\"\ntitle = \"x\"\norg = \"roads\"\nroles = [\"boss\"]\n" + rule("people = [\"sato\"]\nroles = [\"boss\"]\nactions = [\"read\"]"),
      "# here", "can never match");
  added(rule("people = [\"sato\"]\nroles = [\"service\"]\nactions = [\"read\"]"), "# here", "can never match");
  CHECK(check(country + "[[post]]\nid = \"chief\"\ntitle = \"x\"\norg = \"roads\"\nroles = [\"boss\"]\n" + rule("roles = [\"boss\"]\nactions = [\"read\"]"),
              "f", 0)
            .mistakes.empty());  // vacant today
  changed("roles = [\"editor\"]\n[[person]]", "roles = [\"editor\", \"service\"]\n[[person]]", "[[post]]", "the role \"service\" belongs to nodes");
}

TEST_CASE("source: its own tests run, and a failing one is told with its line") {
  const auto test = [](const std::string& of, const std::string& expect = "allow") {
    return "[[test]]  # here\nid = \"t\"\n" + of + "node = \"sapporo\"\nlibrary = \"works\"\ntime = 2027-01-01\nexpect = \"" + expect + "\"\n";
  };
  const std::string sato = "person = \"sato\"\nrole = \"editor\"\n";
  CHECK(check(country + test(sato + "action = \"write\"\n"), "f", 0).mistakes.empty());
  added(test(sato + "action = \"write\"\n", "deny"), "# here", "expects deny, but it is allowed: permitted by editors");
  added(test(sato + "action = \"administer\"\n"), "# here", "expects allow, but it is denied");
  CHECK(check(country + test("action = \"write\"\n", "deny"), "f", 0).mistakes.empty());  // the node itself
  added(test("person = \"satoo\"\nrole = \"editor\"\naction = \"read\"\n"), "# here", "there is no person", "sato");
  added(test("person = \"sato\"\naction = \"read\"\n"), "# here", "\"role\" is missing");
  added(replaced(test(sato + "action = \"write\"\n"), "time = 2027-01-01\n", ""), "# here", "\"time\" is missing");
  added(replaced(test(sato + "action = \"write\"\n"), "\"allow\"", "\"alow\""), "alow", "not known here", "allow");
}

TEST_CASE("source: every mistake is told at once, in the order of lines") {
  const std::string bad =
      replaced(replaced(replaced(country, "zone = \"north\"", "zone = 3"), "kind = \"vault\"", "kind = \"valt\""), "copies = 2", "copies = \"x\"");
  const auto mistakes = check(bad, "policy.toml", 0).mistakes;
  REQUIRE(mistakes.size() == 3);
  CHECK(mistakes[0].line < mistakes[1].line);
  CHECK(mistakes[1].line < mistakes[2].line);
}

TEST_CASE("source: units form a tree of classes") {
  const std::string classes = "[[class]]\nid = \"staff\"\ntitle = \"幕\"\n[[class]]\nid = \"base\"\ntitle = \"基地\"\nunder = [\"staff\"]\n";
  const auto units = [&](const std::string& more) {
    return replaced(country, "[[org]]\nid = \"roads\"\ntitle = \"道路課\"\n",
                    classes + "[[org]]\nid = \"roads\"\ntitle = \"道路課\"\nclass = \"staff\"\n" + more);
  };
  const auto base = [](const std::string& keys) { return "[[org]]  # here\nid = \"naha-base\"\ntitle = \"那覇\"\n" + keys; };
  CHECK(check(units(base("class = \"base\"\nparent = \"roads\"\n")), "f", 0).mistakes.empty());
  only(units(base("class = \"base\"\n")), "# here", "the unit \"naha-base\" must be below one of the class staff");
  only(units(base("class = \"staff\"\nparent = \"roads\"\n")), "# here", "which stands at the top");
  only(units(base("class = \"bas\"\nparent = \"roads\"\n")), "# here", "there is no class \"bas\"", "base");
  only(units(base("parent = \"roads\"\n")), "# here", "has no class");
  only(units(base("class = \"base\"\nparent = \"road\"\n")), "# here", "there is no unit \"road\"", "roads", 2);
  const std::string circle = "[[org]]\nid = \"a\"\ntitle = \"a\"\nparent = \"b\"\n[[org]]  # here\nid = \"b\"\ntitle = \"b\"\nparent = \"a\"\n";
  only(country + circle, "# here", "the unit \"b\" is above itself", "", 2);
}

TEST_CASE("source: roles that are declared are held where they may be, by no more persons than may") {
  const std::string second = "[[person]]  # here\nname = \"mori\"\nshown = \"森\"\nposts = [{ post = \"clerk\", from = 2026-04-01 }]\n";
  const auto role = [](const std::string& keys) { return "[[role]]\nid = \"editor\"\ntitle = \"編集\"\n" + keys; };
  CHECK(check(country + role("") + second, "f", 0).mistakes.empty());
  only(country + role("most = 1\n") + second, "# here", "the role editor is held by 2 persons at a time (sato, mori), and may be by 1");
  // One after the other; and two posts of one person are one person.
  CHECK(check(replaced(country, "post = \"clerk\"\n", "post = \"clerk\"\nuntil = 2026-04-01\n") + role("most = 1\n") + second, "f", 0).mistakes.empty());
  CHECK(check(replaced(country, "[[person.posts]]\npost = \"clerk\"\n", "posts = [{ post = \"clerk\" }, { post = \"clerk\", from = 2026-04-01 }]\n") +
                  role("most = 1\n"),
              "f", 0)
            .mistakes.empty());
  const std::string other = "[[org]]\nid = \"rivers\"\ntitle = \"河川課\"\n";
  only(country + other + role("orgs = [\"rivers\"]\n"), "[[post]]", "post \"clerk\": the role editor cannot be held in roads");
  CHECK(check(replaced(country, "title = \"道路課\"\n", "title = \"道路課\"\nparent = \"rivers\"\n") + other + role("orgs = [\"rivers\"]\n"), "f", 0)
            .mistakes.empty());
  only(country + "[[role]]\nid = \"editr\"\ntitle = \"x\"\n", "[[post]]", "there is no role \"editor\"", "editr");
}

TEST_CASE("source: labels have a ceiling, and some lie on nodes with keys alone") {
  const std::string labels = "[[label]]\nnumber = 1\nname = \"care\"\n[[label]]\nnumber = 2\nname = \"strict\"\nkeyed_only = true\n";
  const auto with = [&](const std::string& ceiling) {
    return replaced(country, "[[library]]\nname = \"works\"\n", "[[library]]  # works\nname = \"works\"\n" + ceiling) + labels;
  };
  only(with(""), "# works", "the library takes the label \"strict\", which only nodes with keys may hold, and \"naha\" holds blind");
  CHECK(check(with("ceiling = \"care\"\n"), "f", 0).mistakes.empty());
  CHECK(check(with("ceiling = \"none\"\n"), "f", 0).mistakes.empty());
  only(with("ceiling = \"car\"\n"), "# works", "there is no label \"car\"", "care", 2);
}

TEST_CASE("source: hours, closures, stops, lifts and admits") {
  const auto good_one = [](const std::string& more) { CHECK_MESSAGE(check(country + more, "f", 0).mistakes.empty(), more); };
  good_one(
      "[[hours]]\ndays = [\"mon\", \"fri\"]\nopens = \"07:30\"\ncloses = \"24:00\"\nnodes = [\"osaka\"]\nlibraries = [\"works\"]\nexcept_roles = "
      "[\"editor\"]\n");
  added("[[hours]]  # here\ndays = [\"moon\"]\nopens = \"07:30\"\ncloses = \"22:00\"\n", "days", "\"moon\" is no day");
  added("[[hours]]  # here\nopens = \"22:00\"\ncloses = \"07:30\"\n", "# here", "closes before it opens");
  added("[[hours]]\nopens = \"7:30\"\ncloses = \"22:00\"\n", "opens", "must be a time of the day");
  added("[[hours]]\nopens = \"07:60\"\ncloses = \"22:00\"\n", "opens", "must be a time of the day");
  good_one("[[closure]]\nfrom = 2026-12-29T18:00:00\nuntil = 2027-01-04\nreason = \"年末\"\n");
  added("[[closure]]  # here\nfrom = 2027-01-04\nuntil = 2026-12-29\nreason = \"x\"\n", "# here", "ends before it begins");
  added("[[closure]]  # here\nuntil = 2026-12-29\nreason = \"x\"\n", "# here", "\"from\" is missing");
  added("[[stop]]  # here\nreason = \"x\"\n", "# here", "stops nothing");
  added("[[stop]]  # here\nreason = \"x\"\nnodes = [\"head\"]\n", "# here", "leaves no node of kind \"hq\"");
  added("[[stop]]  # here\nreason = \"x\"\npeople = [\"satou\"]\n", "# here", "there is no person \"satou\"", "sato");
  added("[[lift]]\nofficer = \"abc\"\nup_to = 3\n", "officer", "64 characters of lower-case hex");
  added("[[lift]]  # here\nofficer = \"" + std::string(64, 'a') + "\"\nup_to = 0\n", "up_to", "must be a number from 1 on");
  const std::string lift = "officer = \"" + std::string(64, 'a') + "\"\nup_to = 3\n";
  added("[[lift]]\n" + lift + "[[lift]]  # here\n" + lift, "# here", "lifted twice");
  added("[[admit]]  # here\nlibrary = \"work\"\nsubject = \"osaka\"\ncut = 2\nnode = \"" + std::string(32, 'a') + "\"\nincarnation = \"" +
            std::string(32, 'b') + "\"\nsequence = 4\nroot = \"" + std::string(64, 'c') + "\"\n",
        "# here", "there is no library \"work\"", "works");
}

TEST_CASE("source: a permit wider than a group is worth a warning, and no mistake") {
  const auto wide = check(country + "[[permit]]  # here\nid = \"all\"\nactions = [\"read\"]\nnodes = [\"head\"]\n", "f", 0);
  CHECK(wide.mistakes.empty());
  REQUIRE(wide.warnings.size() == 1);
  CHECK(wide.warnings[0].text.find("wider than a group") != std::string::npos);
  CHECK(check(country, "f", 0).warnings.empty());
  added("[[forbid]]  # here\nid = \"x\"\nroles = [\"editor\"]\nactions = [\"write\"]\nacted_as = [\"editor\"]\n", "# here", "known of matters alone");
}
