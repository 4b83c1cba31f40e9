#include "sim/container_plan.h"

#include <gtest/gtest.h>

#include "base/testing/fake_env.h"
#include "engine/tar_reader.h"

namespace gantry::sim {
namespace {

wire::RunRef some_run(int run = 0) { return {TaskId::parse("fN1SbArXTPSVFNUvaOlinQ").value(), run}; }

TEST(ContainerPlan, IsDecidedByTheSeedAndTheRun) {
  ContainerPlan plan = plan_container(1, some_run());
  ContainerPlan again = plan_container(1, some_run());
  EXPECT_EQ(plan.length_us, again.length_us);
  EXPECT_EQ(plan.output.size(), again.output.size());
  EXPECT_NE(plan.length_us, plan_container(2, some_run()).length_us);
  EXPECT_NE(plan.length_us, plan_container(1, some_run(1)).length_us);
}

TEST(Output, IsTheSameInWhateverPiecesItIsTaken) {
  std::string whole = output_bytes(some_run(), 1, 0, 1000);
  std::string pieces;
  for (std::int64_t at = 0; at < 1000; at += 37) {
    pieces += output_bytes(some_run(), 1, at, std::min<std::int64_t>(37, 1000 - at));
  }
  EXPECT_EQ(whole, pieces);
  EXPECT_NE(whole, output_bytes(some_run(1), 1, 0, 1000));
}

TEST(Output, IsFoundInALogBetweenTheAgentsLines) {
  std::string out = output_bytes(some_run(), 1, 0, 300);
  std::string err = output_bytes(some_run(), 2, 0, 200);
  std::string log = "[taskcluster 2026-01-01 00:00:00.000Z] === Task Starting ===\n" + out.substr(0, 100) + err +
                    out.substr(100) + "\r\n[taskcluster:error] something\n";
  EXPECT_EQ(stream_in_log(log, 1), out);
  EXPECT_EQ(stream_in_log(log, 2), err);
  EXPECT_EQ(stream_in_log(log + "try again", 1), std::nullopt) << "x, y and spaces are nobody's";
}

Async<> read_names(std::string archive, std::vector<std::string>& names, std::vector<std::string>& contents) {
  engine::TarReader reader(std::make_shared<net::StringBody>(std::move(archive)));
  while (auto entry = co_await reader.next()) {
    names.push_back(entry->name);
    std::string content;
    for (;;) {
      std::string piece = co_await reader.read_some();
      if (piece.empty()) break;
      content += piece;
    }
    contents.push_back(content);
  }
}

TEST(Archive, IsReadByTheAgentsReader) {
  FakeEnv env;
  auto files = container_files(some_run());
  std::vector<std::string> names;
  std::vector<std::string> contents;
  env.run(read_names(archive_of(files, output_directory).value(), names, contents));
  EXPECT_EQ(names, (std::vector<std::string>{"out/", "out/result.txt", "out/more/empty.txt", "out/more/notes.json"}));
  EXPECT_EQ(contents[1], files[0].content);
  EXPECT_EQ(contents[3], files[2].content);
  EXPECT_FALSE(archive_of(files, "/nowhere").has_value());
}

}  // namespace
}  // namespace gantry::sim
