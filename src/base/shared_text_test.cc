#include "base/shared_text.h"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace gantry {
namespace {

TEST(SharedText, EqualTextsAreHeldOnceAndFreedWithTheirLastUse) {
  std::size_t before = shared_texts();
  {
    SharedText a = "a text of the shared kind";
    SharedText b = std::string("a text of the shared kind");
    EXPECT_EQ(&a.str(), &b.str());
    EXPECT_EQ(a, b);
    EXPECT_EQ(shared_texts(), before + 1);
    SharedText copy = a;
    a.clear();
    b = "another";
    EXPECT_EQ(copy, "a text of the shared kind");
    EXPECT_EQ(shared_texts(), before + 2);
    EXPECT_NE(copy, b);
  }
  EXPECT_EQ(shared_texts(), before);
}

TEST(SharedText, AnEmptyTextIsNoText) {
  std::size_t before = shared_texts();
  SharedText text = "";
  EXPECT_TRUE(text.empty());
  EXPECT_EQ(text, SharedText());
  EXPECT_EQ(text.str(), "");
  EXPECT_EQ(shared_texts(), before);
}

TEST(SharedText, ReadsLikeAString) {
  SharedText text = "queue";
  EXPECT_EQ("prov/" + text, "prov/queue");
  EXPECT_EQ(text + "/x", "queue/x");
  EXPECT_EQ(fmt::format("<{}>", text), "<queue>");
}

TEST(SharedText, ManyThreadsMayMakeAndDropTheSame) {
  std::size_t before = shared_texts();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int round = 0; round < 20'000; ++round) {
        SharedText a = round % 2 ? "contended one" : "contended two";
        SharedText b = a;  // NOLINT(performance-unnecessary-copy-initialization): the copy is what is tested
        ASSERT_EQ(a.str(), b.str());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(shared_texts(), before);
}

}  // namespace
}  // namespace gantry
