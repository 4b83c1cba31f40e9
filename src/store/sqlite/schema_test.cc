#include "store/sqlite/schema.h"

#include "store/sqlite/support_test.h"

namespace gantry::store::sqlite {
namespace {

using state::TableId;

class Schema : public testing::Test {
 protected:
  /// A bare connection, as another program would have.
  std::unique_ptr<Database> connect() {
    std::ofstream(directory_.file(), std::ios::app).close();
    return std::make_unique<Database>(directory_.file(), Database::Access::read_write, "");
  }
  void create() { open_sqlite(directory_.file()).reset(); }

  TemporaryDirectory directory_;
};

TEST_F(Schema, a_file_says_whose_it_is_and_which_format) {
  create();
  auto database = connect();
  EXPECT_EQ(database->query_integer("PRAGMA application_id"), application_id);
  EXPECT_EQ(database->query_integer("PRAGMA user_version"), 2);
  EXPECT_EQ(database->query_integer("SELECT count(*) FROM sqlite_schema WHERE type = 'table'"), state::table_count);
}

TEST_F(Schema, what_is_stored_can_be_read_in_a_shell) {
  {
    auto store = open_sqlite(directory_.file());
    write_and_wait(*store, {{TableId::node, {0, "n1"}, value(R"({"cpus": 4})")}, put(TableId::open_task, 7, "{}")});
  }
  auto database = connect();
  EXPECT_EQ(database->query_integer("SELECT value ->> 'cpus' FROM node WHERE name = 'n1'"), 4);
  EXPECT_EQ(database->query_text("SELECT value FROM open_task WHERE sequence = 7"), "{}");
}

TEST_F(Schema, a_file_of_another_program_is_refused_and_left_alone) {
  connect()->execute("CREATE TABLE recipe(title TEXT); INSERT INTO recipe VALUES('soup')");
  auto before = read_file(directory_.file());
  auto error = open_error(directory_.file());
  EXPECT_EQ(error.code(), ErrorCode::invalid_input);
  EXPECT_NE(error.message().find("another program"), std::string::npos) << error.message();
  EXPECT_EQ(read_file(directory_.file()), before);
}

TEST_F(Schema, a_newer_file_is_refused_and_left_alone) {
  create();
  connect()->execute("PRAGMA user_version = 3");
  auto before = read_file(directory_.file());
  auto error = open_error(directory_.file());
  EXPECT_EQ(error.code(), ErrorCode::unsupported);
  EXPECT_NE(error.message().find("newer gantry (format 3, this build knows 2)"), std::string::npos) << error.message();
  EXPECT_NE(error.hint().find("upgrade"), std::string::npos);
  EXPECT_EQ(read_file(directory_.file()), before);
}

TEST_F(Schema, a_file_without_a_version_is_damaged) {
  create();
  connect()->execute("PRAGMA user_version = 0");
  EXPECT_EQ(open_error(directory_.file()).code(), ErrorCode::corrupt);
}

/// As it was before task ids were kept in order of arrival.
TEST_F(Schema, a_file_of_format_1_keeps_its_task_ids) {
  create();
  connect()->execute(
      "DROP TABLE task_id;"
      "CREATE TABLE task_id(name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
      "INSERT INTO task_id VALUES('a-later-task', '12'), ('the-first-task', '3');"
      "PRAGMA user_version = 1");
  for (int times = 0; times < 2; ++times) {
    auto store = open_sqlite(directory_.file());
    auto rows = store->scan(TableId::task_id, nullptr, 10);
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_EQ(rows[0].key.sequence, 3u);
    EXPECT_EQ(rows[0].value, "the-first-task");
    EXPECT_EQ(rows[1].key.sequence, 12u);
    EXPECT_EQ(rows[1].value, "a-later-task");
    write_and_wait(*store, {put(TableId::task_id, 12, "a-later-task")});
  }
  EXPECT_EQ(connect()->query_integer("PRAGMA user_version"), 2);
}

TEST_F(Schema, an_older_file_is_migrated_step_by_step_and_once) {
  create();
  auto database = connect();
  database->execute("PRAGMA user_version = 1");
  std::vector<int> ran;
  std::vector<Migration> steps = {
      [&](Database& db) {
        ran.push_back(2);
        db.execute("INSERT INTO meta VALUES('note', 'from 1')");
      },
      [&](Database& db) {
        ran.push_back(3);
        db.execute("UPDATE meta SET value = value || ', from 2' WHERE name = 'note'");
      },
  };
  EXPECT_FALSE(prepare_schema(*database, steps));
  EXPECT_EQ(database->query_integer("PRAGMA user_version"), 3);
  EXPECT_EQ(database->query_text("SELECT value FROM meta WHERE name = 'note'"), "from 1, from 2");
  EXPECT_FALSE(prepare_schema(*database, steps));
  EXPECT_EQ(ran, (std::vector{2, 3}));
}

TEST_F(Schema, a_migration_that_fails_changes_nothing) {
  create();
  auto database = connect();
  database->execute("PRAGMA user_version = 1");
  std::vector<Migration> steps = {[](Database& db) {
    db.execute("INSERT INTO meta VALUES('note', 'half')");
    throw Error(ErrorCode::corrupt, "a record cannot be understood");
  }};
  EXPECT_THROW(prepare_schema(*database, steps), Error);
  EXPECT_EQ(database->query_integer("PRAGMA user_version"), 1);
  EXPECT_EQ(database->query_integer("SELECT count(*) FROM meta"), 0);
}

TEST_F(Schema, a_new_file_needs_no_migration) {
  auto database = connect();
  std::vector<Migration> steps = {[](Database&) { FAIL() << "migrated an empty file"; }};
  EXPECT_TRUE(prepare_schema(*database, steps));
  EXPECT_EQ(database->query_integer("PRAGMA user_version"), 2);
}

}  // namespace
}  // namespace gantry::store::sqlite
