// Names of images, and what the registries file says of them.
#include "agent/images/registries.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "agent/testing/agent_world.h"

namespace gantry::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view some_file = R"({
  "registry.example": {"username": "all", "password": "p1"},
  "registry.example/team": {"username": "team", "password": "p2"},
  "registry.example/team/app": {"username": "app", "password": "p3"},
  "index.docker.io": {"username": "hub", "password": "p4"},
  "mirrors": {"docker.io": ["http://one:5000/", "https://two.example/cache"], "registry.example": ["three:1"]}})";

std::string user_for(const Registries& registries, std::string_view image) {
  auto login = registries.login_for(parse_image_name(image));
  return login ? login->username : "none";
}

TEST(ImageName, two_names_of_one_image_are_the_same) {
  EXPECT_TRUE(same_image("busybox", "docker.io/library/busybox:latest"));
  EXPECT_TRUE(same_image("team/app:1", "index.docker.io/team/app:1"));
  EXPECT_TRUE(same_image("a@sha256:12", "a:1@sha256:12"));
  EXPECT_FALSE(same_image("a:1", "a:2"));
  EXPECT_FALSE(same_image("localhost:5000/a", "a"));
  EXPECT_FALSE(same_image("a", "<none>:<none> "));
  EXPECT_EQ(parse_image_name("r.example:5000/t/a:v2").repository, "r.example:5000/t/a");
  EXPECT_EQ(parse_image_name("r.example:5000/t/a:v2").tag, "v2");
  EXPECT_EQ(parse_image_name("localhost/a").host, "localhost");
  for (std::string bad :
       {"", "a b", "a:", "/a", "a/", "a@b", "a\n", "\xff", "a@b:c/d", "a:b:c", "a/:1", "a//b", "a/../b", "a:@b:c"}) {
    EXPECT_THROW(parse_image_name(bad), Error) << bad;
  }
}

TEST(ImageName, of_a_tasks_image_is_told_apart) {
  std::string reference = task_image_reference("fN1SbArXTPSVFNUvaOlinQ", "public/image.tar");
  EXPECT_EQ(reference.size(), 32 + std::string_view(":latest").size());
  EXPECT_NE(reference, task_image_reference("fN1SbArXTPSVFNUvaOlinQ", "public/image.tar.gz"));
  EXPECT_EQ(task_image_reference("a", "b"), "187ef4436122d1cc2f40dc2b92f0eba0:latest");
  EXPECT_TRUE(is_task_image_reference(parse_image_name(reference)));
  EXPECT_TRUE(is_task_image_reference(parse_image_name("docker.io/" + reference)));
  EXPECT_FALSE(is_task_image_reference(parse_image_name("busybox")));
}

TEST(Registries, the_longest_prefix_wins_by_whole_parts) {
  Registries registries = value_or_throw(parse_registries(some_file));
  EXPECT_EQ(user_for(registries, "registry.example/other/app"), "all");
  EXPECT_EQ(user_for(registries, "registry.example/team/other:1"), "team");
  EXPECT_EQ(user_for(registries, "registry.example/team/app:1"), "app");
  EXPECT_EQ(user_for(registries, "registry.example/team/apple"), "team");
  EXPECT_EQ(user_for(registries, "registry.example/teams/app"), "all");
  EXPECT_EQ(user_for(registries, "registry.example:5000/team/app"), "none");
  EXPECT_EQ(user_for(registries, "busybox"), "hub");
  EXPECT_EQ(registries.login_for(parse_image_name("busybox"))->password, "p4");
  EXPECT_EQ(user_for(Registries(), "busybox"), "none");
}

TEST(Registries, mirrors_have_an_order) {
  Registries registries = value_or_throw(parse_registries(some_file));
  EXPECT_THAT(registries.on_mirrors(parse_image_name("busybox:1")),
              ElementsAre("one:5000/library/busybox:1", "two.example/cache/library/busybox:1"));
  EXPECT_THAT(registries.on_mirrors(parse_image_name("registry.example/a/b@sha256:12")),
              ElementsAre("three:1/a/b@sha256:12"));
  EXPECT_THAT(registries.on_mirrors(parse_image_name("elsewhere.example/a")), ElementsAre());
}

TEST(Registries, what_is_wrong_is_said_without_a_password) {
  struct Case {
    std::string_view text, says;
  };
  for (const Case& c : {
           Case{R"({"a": "hunter2"})", "a: must be an object"},
           Case{R"({"a": {"username": "u"}})", "a.password"},
           Case{R"({"a": {"username": "u", "password": "hunter2", "pasword": "hunter2"}})", "a.pasword: unknown key"},
           Case{R"({"a": {"username": "u", "password": ["hunter2"]}})", "a.password"},
           Case{R"({"a b": {"username": "u", "password": "hunter2"}})", "must be a registry"},
           Case{R"({"a": {"password": "hunter2" "x")", "is not JSON"},
           Case{R"(["hunter2"])", "must be a JSON object"},
           Case{R"({"mirrors": ["hunter2"]})", "must be an object of lists"},
           Case{R"({"mirrors": {"a": []}})", "1 to 16"},
           Case{R"({"mirrors": {"a": ["http://me:hunter2@b"]}})", "without a user name"},
       }) {
    auto registries = parse_registries(c.text);
    ASSERT_FALSE(registries) << c.text;
    EXPECT_THAT(registries.error().message(), HasSubstr(std::string(c.says))) << c.text;
    EXPECT_THAT(registries.error().message() + registries.error().hint(), Not(HasSubstr("hunter2"))) << c.text;
  }
}

TEST(Registries, a_file_that_others_may_read_is_refused) {
  TemporaryDirectory directory;
  std::string path = directory.file("registries.json");
  std::ofstream(path) << some_file;
  ::chmod(path.c_str(), 0640);
  EXPECT_THROW(read_registries(path), Error);
  ::chmod(path.c_str(), 0600);
  EXPECT_EQ(user_for(read_registries(path), "busybox"), "hub");
  EXPECT_THROW(read_registries(directory.file("none")), Error);
}

}  // namespace
}  // namespace gantry::agent
