// One fetch for all who want an image, with an engine and a server that do as they are told.
#include "agent/images/image_store.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/images/limits.h"
#include "agent/testing/image_world.h"
#include "agent/testing/tar_text.h"
#include "base/crypto.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST_F(Store, what_is_there_is_not_pulled) {
  engine.add("busybox:latest");
  Asker& asker = ask("docker.io/library/busybox");
  engine.images["docker.io/library/busybox"] = engine.images["busybox:latest"];
  Asker& again = ask("docker.io/library/busybox");
  finish(again);
  EXPECT_TRUE(again.use);
  EXPECT_THAT(log_of(again), HasSubstr("Image 'docker.io/library/busybox' is sha256:"));
  finish(asker);
  EXPECT_EQ(engine.pulls.size(), 1u) << "the engine of this test knows no other spellings";
}

TEST_F(Store, one_pull_for_all_who_want_it) {
  engine.held = true;
  Asker& first = ask("app:1");
  Asker& second = ask("app:1");
  env.advance(seconds(1));
  EXPECT_EQ(engine.pulls.size(), 1u);
  engine.let_go();
  finish(first);
  finish(second);
  EXPECT_EQ(engine.pulls.size(), 1u);
  EXPECT_EQ(first.use->reference(), "app:1");
  EXPECT_EQ(first.use->id(), second.use->id());
  EXPECT_THAT(log_of(first), HasSubstr("Pulling image app:1\n"));
  EXPECT_THAT(log_of(second), AllOf(HasSubstr("Pulling image app:1, which another task waits for already"),
                                    HasSubstr("Pulled image app:1: 1.5 MB in 1.0 s")));
}

TEST_F(Store, all_who_wait_hear_of_the_failure) {
  engine.verdict = [](const std::string&) { return Error(ErrorCode::not_found, "image app:1 not found: no"); };
  engine.held = true;
  Asker& first = ask("app:1");
  Asker& second = ask("app:1");
  engine.let_go();
  finish(first);
  finish(second);
  EXPECT_THAT(first.failure, HasSubstr("image app:1 not found"));
  EXPECT_EQ(first.failure, second.failure);
  EXPECT_EQ(engine.pulls.size(), 1u) << "not tried again";
}

TEST_F(Store, several_images_at_once_but_not_all) {
  engine.held = true;
  for (int i = 0; i < 7; ++i) ask(fmt::format("app:{}", i));
  env.advance(seconds(2));
  EXPECT_EQ(engine.pulling, images_at_once_max);
  EXPECT_THAT(log_of(*askers.back()), Not(HasSubstr("trying again")));
  engine.let_go();
  for (auto& asker : askers) finish(*asker);
  EXPECT_EQ(engine.pulling_most, images_at_once_max);
  EXPECT_EQ(engine.pulls.size(), 7u);
  EXPECT_THAT(log_of(*askers.back()), HasSubstr("Waiting for its turn: 4 other images"));
}

TEST_F(Store, who_is_cancelled_leaves_the_pull_to_the_others_and_the_last_one_ends_it) {
  engine.held = true;
  Asker& first = ask("app:1");
  Asker& second = ask("app:1");
  first.work.cancel();
  env.settle();
  EXPECT_EQ(engine.pulling, 1);
  second.work.cancel();
  env.settle();
  EXPECT_EQ(engine.pulling, 0);
  Asker& third = ask("app:1");
  env.settle();
  EXPECT_EQ(engine.pulling, 1) << "a new one";
  engine.let_go();
  finish(third);
  EXPECT_TRUE(third.use);
  EXPECT_EQ(engine.pulls.size(), 2u);
}

TEST_F(Store, one_that_waits_for_its_turn_ends_with_its_last_waiter) {
  engine.held = true;
  for (int i = 0; i < images_at_once_max; ++i) ask(fmt::format("app:{}", i));
  Asker& late = ask("late:1");
  late.work.cancel();
  env.advance(seconds(2));
  engine.let_go();
  for (int i = 0; i < images_at_once_max; ++i) finish(*askers[static_cast<std::size_t>(i)]);
  env.advance(seconds(5));
  EXPECT_EQ(engine.pulls.size(), static_cast<std::size_t>(images_at_once_max));
}

TEST_F(Store, progress_is_told_now_and_then) {
  engine.held = true;
  Asker& asker = ask("app:1");
  engine.pulls[0].progress("downloaded 1.0 of 4.0 MB");
  env.advance(seconds(1));
  engine.pulls[0].progress("downloaded 2.0 of 4.0 MB");
  env.advance(seconds(14));
  engine.let_go();
  finish(asker);
  std::string log = log_of(asker);
  EXPECT_THAT(log, HasSubstr("Pulling image app:1: downloaded 2.0 of 4.0 MB\n"));
  EXPECT_THAT(log, Not(HasSubstr("1.0 of"))) << "only every five seconds";
  EXPECT_EQ(log.find("2.0 of"), log.rfind("2.0 of")) << "the same is not said twice";
}

TEST_F(Store, a_pull_that_stands_still_is_given_up) {
  engine.held = true;
  Asker& asker = ask("app:1");
  env.advance(minutes(4));
  engine.pulls[0].progress("downloaded 1.0 of 4.0 MB");
  env.advance(minutes(4));
  EXPECT_EQ(engine.pulls.size(), 1u) << "it has moved meanwhile";
  engine.pulls[0].progress("downloaded 1.0 of 4.0 MB");
  env.advance(minutes(2));
  EXPECT_EQ(engine.pulls.size(), 2u) << "the same again is no progress; it was tried once more";
  finish(asker);
  EXPECT_EQ(engine.pulls.size(), 2u);
  EXPECT_EQ(engine.pulling, 0);
  EXPECT_THAT(asker.failure, HasSubstr("image app:1: no progress for 300.0 s"));
}

TEST_F(Store, a_pull_that_only_crawls_has_a_deadline) {
  engine.held = true;
  Asker& asker = ask("app:1");
  for (int minute = 0; minute < 29; ++minute) {
    engine.pulls[0].progress(fmt::format("downloaded {}", minute));
    env.advance(minutes(1));
  }
  EXPECT_FALSE(asker.over);
  engine.pulls[0].progress("downloaded more");
  env.advance(minutes(2));
  EXPECT_TRUE(asker.over);
  EXPECT_THAT(asker.failure, HasSubstr("not there after 1800.0 s"));
}

TEST_F(Store, what_may_pass_is_tried_again) {
  int left = 2;
  engine.verdict = [&](const std::string&) -> std::optional<Error> {
    if (left-- > 0) return Error(ErrorCode::unavailable, "connection reset");
    return std::nullopt;
  };
  Asker& asker = ask("app:1");
  finish(asker);
  EXPECT_TRUE(asker.use);
  EXPECT_EQ(engine.pulls.size(), 3u);
  EXPECT_THAT(log_of(asker), HasSubstr("connection reset; trying again"));
  left = 100;
  Asker& never = ask("app:2");
  finish(never);
  EXPECT_THAT(never.failure, HasSubstr("connection reset"));
  EXPECT_EQ(engine.pulls.size(), 3u + image_tries_max);
}

TEST_F(Store, an_engine_that_is_away_is_not_waited_for) {
  engine.verdict = [&](const std::string&) -> std::optional<Error> {
    engine.stopping = true;
    return Error(ErrorCode::unavailable, "connection lost");
  };
  Asker& asker = ask("app:1");
  finish(asker);
  EXPECT_EQ(engine.pulls.size(), 1u);
}

constexpr std::string_view team_registry = R"({"r.example/team": {"username": "u", "password": "hunter2"}})";

TEST_F(Store, credentials_are_for_who_has_the_scope_even_if_the_image_is_there) {
  open(team_registry);
  Asker& poor = ask("r.example/team/app:1");
  finish(poor);
  EXPECT_THAT(poor.failure, AllOf(HasSubstr("Not authorized to use image r.example/team/app:1"),
                                  HasSubstr("docker-worker:image:r.example/team/app:1")));
  EXPECT_TRUE(engine.pulls.empty());
  server->scopes = R"({"scopes":["docker-worker:image:r.example/team/*"]})";
  Asker& rich = ask("r.example/team/app:1");
  finish(rich);
  EXPECT_TRUE(rich.use);
  EXPECT_EQ(engine.pulls[0].login->password, "hunter2");
  EXPECT_THAT(log_of(rich) + log_of(poor) + poor.failure, Not(HasSubstr("hunter2")));
  server->scopes = R"({"scopes":[]})";
  Asker& late = ask("r.example/team/app:1");
  finish(late);
  EXPECT_THAT(late.failure, HasSubstr("Not authorized to use")) << "it is there, but not for everybody";
  Asker& anonymous = ask("r.example/other/app:1");
  finish(anonymous);
  EXPECT_TRUE(anonymous.use);
  EXPECT_FALSE(engine.pulls.back().login);
}

TEST_F(Store, ids_and_names_of_task_images_lead_past_no_check) {
  engine.add("private:1");
  engine.verdict = [](const std::string& image) { return Error(ErrorCode::not_found, image + " not found"); };
  Asker& by_id = ask(engine.images["private:1"].id.substr(7, 12));
  finish(by_id);
  EXPECT_THAT(by_id.failure, HasSubstr("not found"));
  std::string reference = task_image_reference("fN1SbArXTPSVFNUvaOlinQ", "private/image.tar");
  engine.add(reference);
  Asker& by_name = ask(reference);
  finish(by_name);
  EXPECT_THAT(by_name.failure, HasSubstr("Not authorized to use"));
}

TEST_F(Store, mirrors_come_first_and_leave_no_name) {
  open(R"({"mirrors": {"docker.io": ["http://one:5000", "http://two:5000"]}, "two:5000": {"username": "m",
           "password": "p"}})");
  server->scopes = R"({"scopes":["docker-worker:image:busybox:1"]})";
  engine.verdict = [](const std::string& image) -> std::optional<Error> {
    if (image.starts_with("one")) return Error(ErrorCode::unavailable, "one is not there");
    return std::nullopt;
  };
  Asker& asker = ask("busybox:1");
  finish(asker);
  ASSERT_EQ(engine.pulls.size(), 2u);
  EXPECT_EQ(engine.pulls[0].image, "one:5000/library/busybox:1");
  EXPECT_EQ(engine.pulls[1].login->username, "m");
  EXPECT_THAT(engine.calls,
              ElementsAre("tag two:5000/library/busybox:1 busybox:1", "remove two:5000/library/busybox:1"));
  EXPECT_EQ(asker.use->reference(), "busybox:1");
  EXPECT_THAT(log_of(asker), AllOf(HasSubstr("one is not there"), HasSubstr("came from the mirror as two:5000")));
  engine.verdict = [](const std::string& image) -> std::optional<Error> {
    if (image.find(":5000") != std::string::npos) return Error(ErrorCode::not_found, "not here");
    return std::nullopt;
  };
  server->scopes = R"({"scopes":["docker-worker:image:*"]})";
  open(R"({"mirrors": {"docker.io": ["http://one:5000", "http://two:5000"]}})");
  Asker& origin = ask("busybox:2");
  finish(origin);
  EXPECT_EQ(engine.pulls.back().image, "busybox:2") << "the registry itself at last";
}

TEST_F(Store, an_artifact_is_loaded_once_under_a_name_of_its_own) {
  server->artifacts["public/image.tar"] = image_tar("busybox:latest");
  Asker& first = ask_artifact("public/image.tar");
  finish(first);
  ASSERT_TRUE(first.use) << first.failure;
  EXPECT_EQ(first.use->reference(), task_image_reference("fN1SbArXTPSVFNUvaOlinQ", "public/image.tar"));
  EXPECT_EQ(first.use->archive_sha256(), hex(sha256(server->artifacts["public/image.tar"])));
  EXPECT_FALSE(engine.images.contains("busybox:latest"));
  EXPECT_THAT(server->signed_paths, ElementsAre());
  Asker& second = ask_artifact("public/image.tar");
  finish(second);
  EXPECT_EQ(server->downloads, 1);
  EXPECT_EQ(second.use->archive_sha256(), first.use->archive_sha256());
  Asker& indexed = ask(wire::ImageSource{wire::ImageSource::Kind::indexed, "", "known.image", "", "public/image.tar"});
  finish(indexed);
  EXPECT_EQ(indexed.use->reference(), first.use->reference());
  Asker& unknown = ask(wire::ImageSource{wire::ImageSource::Kind::indexed, "", "other.image", "", "public/image.tar"});
  finish(unknown);
  EXPECT_THAT(unknown.failure, HasSubstr("Could not find a task associated"));
  EXPECT_TRUE(std::filesystem::is_empty(directory.file("image-spool")));
}

TEST_F(Store, a_private_artifact_is_asked_for_by_each_run_also_if_it_is_loaded) {
  server->artifacts["private/image.tar"] = image_tar();
  Asker& first = ask_artifact("private/image.tar");
  finish(first);
  EXPECT_TRUE(first.use);
  EXPECT_THAT(server->signed_paths, testing::Contains("private/image.tar"));
  server->forbidden.insert("private/image.tar");
  Asker& second = ask_artifact("private/image.tar");
  finish(second);
  EXPECT_THAT(second.failure, AllOf(HasSubstr("Could not download artifact"), HasSubstr("it is like that")));
}

TEST_F(Store, an_image_of_that_name_which_somebody_else_made_is_loaded_anew) {
  engine.add(task_image_reference("fN1SbArXTPSVFNUvaOlinQ", "public/image.tar"));
  server->artifacts["public/image.tar"] = image_tar();
  Asker& asker = ask_artifact("public/image.tar");
  finish(asker);
  EXPECT_EQ(server->downloads, 1);
}

TEST_F(Store, bad_artifacts_are_one_clear_error_each) {
  server->artifacts["public/a.zip"] = image_tar();
  server->artifacts["public/a.tar.gz"] = image_tar();
  server->artifacts["public/cut.tar"] = image_tar().substr(0, 2000);
  server->artifacts["public/none.tar"] = tar_end();
  auto failure_of = [&](const std::string& path) {
    Asker& asker = ask_artifact(path);
    finish(asker);
    return asker.failure;
  };
  EXPECT_THAT(failure_of("public/a.zip"), HasSubstr("is not the name of an image's archive"));
  EXPECT_THAT(failure_of("public/a.tar.gz"), HasSubstr("its bytes are tar, and its name says gzip"));
  EXPECT_THAT(failure_of("public/cut.tar"), HasSubstr("Could not download artifact"));
  EXPECT_THAT(failure_of("public/none.tar"), HasSubstr("no manifest.json"));
  EXPECT_THAT(failure_of("public/nowhere.tar"), HasSubstr("Could not download artifact \"public/nowhere.tar\""));
  EXPECT_TRUE(engine.loads.empty());
  server->artifacts["public/lie.tar"] = image_tar();
  server->length_lie = 7;
  EXPECT_THAT(failure_of("public/lie.tar"), HasSubstr("bytes came of"));
  server->length_lie = 0;
  server->location = "http://elsewhere.example/";
  EXPECT_THAT(failure_of("public/lie.tar"), HasSubstr("neither on the server nor behind https"));
  server->location = "/api/queue/v1/task/fN1SbArXTPSVFNUvaOlinQ/artifacts/";
  EXPECT_THAT(failure_of("public/lie.tar"), HasSubstr("leads on and on"));
  server->location = "/object/";
  server->failures = 2;
  EXPECT_EQ(failure_of("public/lie.tar"), "") << "tried again";
}

TEST_F(Store, remembers_what_it_brought_and_who_uses_it) {
  Asker& asker = ask("app:1");
  finish(asker);
  env.advance(seconds(10));
  ASSERT_EQ(store->entries().size(), 1u);
  EXPECT_EQ(store->entries()[0].in_use, 1);
  asker.use.reset();
  EXPECT_EQ(store->entries()[0].in_use, 0);
  EXPECT_EQ(store->entries()[0].last_used, env.now());
  std::ofstream(directory.file("image-spool/left-over")) << "x";
  open({});
  ASSERT_EQ(store->entries().size(), 1u);
  EXPECT_EQ(store->entries()[0].reference, "app:1");
  EXPECT_EQ(store->entries()[0].bytes, 1'500'000);
  EXPECT_TRUE(std::filesystem::is_empty(directory.file("image-spool")));
  EXPECT_TRUE(env.run(store->remove_unused("app:1")));
  EXPECT_TRUE(engine.images.empty());
  open({});
  EXPECT_TRUE(store->entries().empty());
  std::ofstream(directory.file("images.json")) << "rubbish";
  open({});
  EXPECT_TRUE(store->entries().empty());
}

}  // namespace
}  // namespace gantry::agent
