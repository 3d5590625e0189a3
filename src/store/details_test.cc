// The requests of a page, whole: from SQLite, from the journal's tail, and when they move between.
#include "store/internal/test_support.h"

namespace understudy::store {
namespace {

TEST(Details, OfAPageAreThoseRequestsWhereverTheyAre) {
  TempDir dir;
  auto store = open_store(dir.data(), slow_writer());
  for (std::uint64_t n = 1; n <= 3; ++n) SampleRequest(n).append_to(store->journal(0));
  ASSERT_TRUE(store->flush());
  for (std::uint64_t n = 4; n <= 6; ++n) SampleRequest(n).append_to(store->journal(0));
  auto reader = open_reader(dir.data());
  const auto page = reader.requests({});
  ASSERT_TRUE(page) << page.error().message;
  ASSERT_EQ(page->requests.size(), 6u);
  for (const bool moved : {false, true}) {
    SCOPED_TRACE(moved);
    if (moved) {
      ASSERT_TRUE(store->flush()) << "what was in the tail gets a number";
    }
    const auto details = reader.details(page->requests);
    ASSERT_TRUE(details) << details.error().message;
    ASSERT_EQ(details->size(), 6u);
    for (std::size_t i = 0; i < 6; ++i) {
      ASSERT_TRUE((*details)[i]) << i;
      EXPECT_EQ((*details)[i]->request.request_id, page->requests[i].request_id);
      EXPECT_EQ((*details)[i]->body.text, SampleRequest(6 - i).body);
      EXPECT_EQ((*details)[i]->attempts.at(0).answer.text, SampleRequest(6 - i).answer);
    }
  }
  // An id of the tail that a later request took: what is left under it is another one.
  SampleRequest(7).append_to(store->journal(0));
  const auto latest = reader.requests({});
  ASSERT_TRUE(latest);
  usleep(2'000);
  SampleRequest(7).append_to(store->journal(0));
  const auto details = reader.details(latest->requests);
  ASSERT_TRUE(details);
  EXPECT_FALSE((*details)[0]);
  EXPECT_TRUE((*details)[1]);
}

}  // namespace
}  // namespace understudy::store
