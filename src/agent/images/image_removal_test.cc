// Images that go: not those in use, not those of others, and not behind the back of who wants one.
#include <gtest/gtest.h>

#include "agent/images/image_store.h"
#include "agent/testing/image_world.h"

namespace gantry::agent {
namespace {

TEST_F(Store, an_image_that_a_run_uses_is_not_removed) {
  Asker& asker = ask("app:1");
  finish(asker);
  EXPECT_FALSE(env.run(store->remove_unused("app:1")));
  EXPECT_TRUE(engine.images.contains("app:1"));
  EXPECT_EQ(store->entries().size(), 1u);
  EXPECT_FALSE(env.run(store->remove_unused("theirs:1"))) << "it is not in the list";
}

TEST_F(Store, an_image_that_somebody_has_replaced_is_forgotten_and_stays) {
  Asker& asker = ask("app:1");
  finish(asker);
  asker.use.reset();
  engine.images["app:1"].id = "sha256:another";
  EXPECT_FALSE(env.run(store->remove_unused("app:1")));
  EXPECT_TRUE(engine.images.contains("app:1"));
  EXPECT_TRUE(store->entries().empty());
}

TEST_F(Store, who_wants_an_image_while_it_is_removed_gets_it_anew) {
  Asker& first = ask("app:1");
  finish(first);
  first.use.reset();
  engine.removal_takes = [this] { return env.sleep(seconds(1)); };
  auto removal = env.start(store->remove_unused("app:1"));
  Asker& asker = ask("app:1");
  EXPECT_FALSE(asker.over);
  EXPECT_TRUE(env.finish(removal));
  finish(asker);
  EXPECT_TRUE(asker.use) << asker.failure;
  EXPECT_EQ(engine.pulls.size(), 2u);
  EXPECT_TRUE(engine.images.contains("app:1"));
}

TEST_F(Store, what_a_fetch_took_and_the_last_use_are_known_after_a_crash) {
  engine.held = true;
  Asker& asker = ask("app:1");
  env.advance(seconds(7));
  engine.let_go();
  finish(asker);
  env.advance(minutes(3));
  asker.use.reset();
  store->save_uses();
  env.settle();
  ImageStore other(env, engine, ImageStoreSettings{directory.file(""), {}});  // as if this one had died
  ASSERT_EQ(other.entries().size(), 1u);
  EXPECT_EQ(other.entries()[0].fetch_time, seconds(7));
  EXPECT_EQ(other.entries()[0].last_used, env.now());
  env.run(other.stop());
}

}  // namespace
}  // namespace gantry::agent
