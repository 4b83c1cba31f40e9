#include "engine/docker/stored_files.h"

#include <gtest/gtest.h>

namespace gantry::engine::docker {
namespace {

TEST(StoredRoot, IsReadFromAnInspection) {
  StoredRoot root = parse_stored_root(R"({"State":{"Running":false},
    "GraphDriver":{"Name":"overlay2","Data":{"UpperDir":"/var/lib/docker/overlay2/1/diff","LowerDir":"/l"}},
    "HostConfig":{"Tmpfs":{"/run":"rw"}},"Mounts":[{"Type":"volume","Destination":"/cache"}]})");
  EXPECT_FALSE(root.running);
  EXPECT_EQ(root.upper, "/var/lib/docker/overlay2/1/diff");
  EXPECT_EQ(root.mounts, (std::vector<std::string>{"/cache", "/run"}));
}

TEST(StoredRoot, IsNotKnownWithAnotherDriver) {
  EXPECT_EQ(parse_stored_root(R"({"State":{"Running":true},"GraphDriver":{"Name":"btrfs","Data":null}})").upper, "");
  EXPECT_EQ(parse_stored_root(R"({"State":{"Running":true}})").upper, "");
}

TEST(PathInRoot, IsBelowTheRootAndInNoMount) {
  StoredRoot root{false, "/upper", {"/cache", "/a/b"}};
  EXPECT_EQ(path_in_root(root, "/file"), "file");
  EXPECT_EQ(path_in_root(root, "/a/c"), "a/c");
  EXPECT_EQ(path_in_root(root, "//a///c/"), "a/c");
  EXPECT_EQ(path_in_root(root, "/cached"), "cached");
  for (const char* path :
       {"", "file", "/", "/cache", "/cache/x", "//cache/x", "/a/b/c", "/a//b/c", "/..", "/a/../c", "/./c"}) {
    EXPECT_EQ(path_in_root(root, path), "") << path;
  }
  EXPECT_EQ(path_in_root(root, std::string_view("/a\0b", 4)), "");
}

}  // namespace
}  // namespace gantry::engine::docker
