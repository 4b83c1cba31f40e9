#include "core/access/clients.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/access/role_changes.h"
#include "core/access/secrets.h"

namespace gantry::access {
namespace {

using state::Client;
using state::Role;

const Time start = time_from_ms(1'700'000'000'000);

std::string outcome(const auto& result) { return result ? "ok" : std::string(error_code_name(result.error().code())); }

class AccessTest : public testing::Test {
 protected:
  /// Runs one decision as a transaction of its own; undone if it fails.
  template <class Decision>
  std::string act(Decision decision) {
    state::Transaction tx(state_, now_);
    auto result = decision(tx);
    if (!result) {
      tx.abandon();
      return std::string(error_code_name(result.error().code()));
    }
    tx.take();
    return "ok";
  }
  std::string create(const std::string& id, const ClientRequest& request, const std::string& token = "sealed") {
    return act([&](auto& tx) { return create_client(tx, id, request, token); });
  }
  std::string create_a_role(const std::string& id, const RoleRequest& request) {
    return act([&](auto& tx) { return create_role(tx, id, request); });
  }
  const Client* client(const std::string& id) {
    const auto* row = state_.table<Client>().find(id);
    return row ? &row->record : nullptr;
  }
  ClientRequest request(std::vector<std::string> scopes = {}) {
    return {"why", start + days(1), false, std::move(scopes)};
  }

  state::State state_;
  Time now_ = start;
};

TEST(ClientId, IsOfTheseCharacters) {
  for (const char* good : {"a", "A-z_09", "mozilla-auth0/ad|Mozilla-LDAP|x/y", "a@b!c:d.e+f", "static"}) {
    EXPECT_TRUE(is_valid_client_id(good)) << good;
  }
  for (const char* bad : {"", "a b", "a*", "\xc3\xa4", "a%2Fb", "a\\b", "a\"b", "a\n"})
    EXPECT_FALSE(is_valid_client_id(bad));
  EXPECT_TRUE(is_valid_client_id(std::string(id_bytes_max, 'a')));
  EXPECT_FALSE(is_valid_client_id(std::string(id_bytes_max + 1, 'a')));
  EXPECT_EQ(outcome(check_client_id("root", "root")), "invalid-input");
  EXPECT_EQ(outcome(check_client_id("static/x", "root")), "invalid-input");
  EXPECT_EQ(outcome(check_client_id("roots", "root")), "ok");
}

TEST(GivenScopes, AreValidAndEachThereOnce) {
  EXPECT_EQ(outcome(check_given_scopes({"", "a", "a*", "*", "a b"})), "ok");
  EXPECT_EQ(outcome(check_given_scopes({"a", "b", "a"})), "invalid-input");
  EXPECT_EQ(outcome(check_given_scopes({"a**"})), "invalid-input");
  EXPECT_EQ(outcome(check_given_scopes({"a\n"})), "invalid-input");
  EXPECT_EQ(outcome(check_given_scopes({"\xc3\xa4"})), "invalid-input");
  EXPECT_EQ(outcome(check_given_scopes({std::string(scope_bytes_max, 'a')})), "ok");
  EXPECT_EQ(outcome(check_given_scopes({std::string(scope_bytes_max + 1, 'a')})), "invalid-input");
  std::vector<std::string> many;
  for (std::size_t i = 0; i < scopes_per_record_max; ++i) many.push_back(fmt::format("s{}", i));
  EXPECT_EQ(outcome(check_given_scopes(many)), "ok");
  many.push_back("one more");
  EXPECT_EQ(outcome(check_given_scopes(many)), "too-large");
}

TEST_F(AccessTest, AClientIsMadeOnceAndTheSameAgainForAWhile) {
  EXPECT_EQ(create("c", request({"a"})), "ok");
  EXPECT_EQ(client("c")->created, start);
  EXPECT_EQ(client("c")->last_used, start);
  EXPECT_EQ(create("c", request({"b"})), "conflict");
  now_ = start + create_repeat_max;
  EXPECT_EQ(create("c", request({"a"}), "another"), "ok");
  EXPECT_EQ(client("c")->sealed_token, "sealed") << "the token that was told stays good";
  now_ += milliseconds(1);
  EXPECT_EQ(create("c", request({"a"})), "conflict");
}

TEST_F(AccessTest, ADescriptionHasALimit) {
  ClientRequest at = request();
  at.description.assign(description_bytes_max, 'x');
  EXPECT_EQ(create("at", at), "ok");
  at.description += 'x';
  EXPECT_EQ(create("above", at), "invalid-input");
  EXPECT_EQ(client("above"), nullptr);
  EXPECT_EQ(create_a_role("at", {std::string(description_bytes_max, 'x'), {}}), "ok");
  EXPECT_EQ(create_a_role("above", {std::string(description_bytes_max + 1, 'x'), {}}), "invalid-input");
}

TEST_F(AccessTest, AnUpdateKeepsWhatItDoesNotName) {
  create("c", request({"a", "b"}));
  now_ += hours(1);
  ClientRequest change{"else", start + days(9), true, {}};
  EXPECT_EQ(act([&](auto& tx) { return update_client(tx, "c", change); }), "ok");
  EXPECT_EQ(client("c")->scopes, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(client("c")->description, "else");
  EXPECT_EQ(client("c")->modified, now_);
  EXPECT_EQ(client("c")->created, start);
  EXPECT_EQ(act([&](auto& tx) { return update_client(tx, "d", change); }), "not-found");
}

TEST_F(AccessTest, WhatACallerNeedsToGive) {
  EXPECT_EQ(needed_to_create("c", request({"x", "y"})).to_string(), "auth:create-client:c and x and y");
  create("c", request({"x", "y:*"}));
  state::Transaction tx(state_, now_);
  EXPECT_EQ(needed_to_update(tx, "c", request({"x", "y:z", "w"})).value().to_string(),
            "auth:update-client:c and y:z and w");
  EXPECT_EQ(needed_to_update(tx, "c", {"d", now_, false, {}}).value().to_string(), "auth:update-client:c");
  EXPECT_EQ(outcome(needed_to_update(tx, "none", request())), "not-found");
  create_role(tx, "r", {"", {"assume:s", "x"}}).value();
  create_role(tx, "s", {"", {"y:*"}}).value();
  RoleResolver roles(tx.state());
  EXPECT_EQ(needed_to_create("r", RoleRequest{"", {"q"}}).to_string(), "auth:create-role:r and q");
  EXPECT_EQ(needed_to_update(tx, "r", RoleRequest{"", {"y:1", "x", "z"}}, roles).value().to_string(),
            "auth:update-role:r and z")
      << "what the role stands for already gives nothing new";
}

TEST_F(AccessTest, DisablingAndResettingTouchNothingElse) {
  create("c", request({"a"}));
  EXPECT_EQ(act([](auto& tx) { return set_disabled(tx, "c", true); }), "ok");
  EXPECT_TRUE(client("c")->disabled);
  EXPECT_EQ(act([](auto& tx) { return set_disabled(tx, "c", false); }), "ok");
  EXPECT_FALSE(client("c")->disabled);
  now_ += hours(1);
  EXPECT_EQ(act([](auto& tx) { return reset_token(tx, "c", "new"); }), "ok");
  EXPECT_EQ(client("c")->sealed_token, "new");
  EXPECT_EQ(client("c")->rotated, now_);
  EXPECT_EQ(client("c")->modified, start);
  EXPECT_EQ(act([](auto& tx) { return set_disabled(tx, "d", true); }), "not-found");
  EXPECT_EQ(act([](auto& tx) { return reset_token(tx, "d", "t"); }), "not-found");
}

TEST_F(AccessTest, OnlyClientsThatAskForItAreDeletedWhenTheyExpire) {
  ClientRequest gone = request();
  gone.delete_on_expiration = true;
  const std::size_t count = 2 * expiry_step_max + 1;
  for (std::size_t i = 0; i < count; ++i) create(fmt::format("gone{}", i), gone);
  create("stays", request());
  now_ = start + days(1) - milliseconds(1);
  state::Transaction early(state_, now_);
  EXPECT_FALSE(expire_clients(early));
  early.abandon();
  EXPECT_EQ(state_.table<Client>().size(), count + 1);
  now_ += milliseconds(1);
  int steps = 0;
  for (bool more = true; more; ++steps) {
    state::Transaction tx(state_, now_);
    more = expire_clients(tx);
    EXPECT_LE(tx.take().writes.size(), expiry_step_max);
  }
  EXPECT_EQ(steps, 3);
  EXPECT_EQ(state_.table<Client>().size(), 1u);
  EXPECT_TRUE(client("stays"));
}

TEST_F(AccessTest, LastUseIsNotedNowAndThen) {
  create("c", request());
  std::vector<std::string> used{"c", "unknown"};
  auto note = [&] {
    state::Transaction tx(state_, now_);
    note_used(tx, used);
    return tx.take().writes.size();
  };
  now_ = start + last_used_precision - milliseconds(1);
  EXPECT_EQ(note(), 0u);
  now_ = start + last_used_precision;
  EXPECT_EQ(note(), 1u);
  EXPECT_EQ(client("c")->last_used, now_);
}

TEST_F(AccessTest, RolesAreSortedAndMadeOnce) {
  EXPECT_EQ(create_a_role("r", {"d", {"c", "b", "b*"}}), "ok");
  const Role& role = state_.table<Role>().find("r")->record;
  EXPECT_EQ(role.scopes, (std::vector<std::string>{"b*", "b", "c"}));
  EXPECT_EQ(create_a_role("r", {"d", {"b", "c", "b*"}}), "ok") << "the same again";
  EXPECT_EQ(create_a_role("r", {"other", {"b", "c", "b*"}}), "conflict");
  EXPECT_EQ(create_a_role("", {"d", {}}), "invalid-input");
  EXPECT_EQ(create_a_role("loop", {"d", {"assume:loop"}}), "invalid-input");
  now_ += hours(1);
  EXPECT_EQ(act([](auto& tx) { return update_role(tx, "r", {"new", {"assume:q"}}); }), "ok");
  EXPECT_EQ(state_.table<Role>().find("r")->record.created, start);
  EXPECT_EQ(state_.table<Role>().find("r")->record.modified, now_);
  EXPECT_EQ(create_a_role("q", {"d", {"assume:r"}}), "invalid-input") << "r assumes q";
  EXPECT_EQ(act([](auto& tx) { return update_role(tx, "none", {"", {}}); }), "not-found");
}

TEST_F(AccessTest, ASecretIsGoneOnceItExpires) {
  state::Transaction tx(state_, now_);
  set_secret(tx, "s", "sealed", start + hours(1));
  EXPECT_EQ(find_secret(tx, "s").value()->sealed_value, "sealed");
  set_secret(tx, "s", "again", start + hours(2));
  EXPECT_EQ(find_secret(tx, "s").value()->sealed_value, "again");
  EXPECT_EQ(outcome(find_secret(tx, "t")), "not-found");
  tx.take();
  state::Transaction late(state_, start + hours(2));
  EXPECT_EQ(outcome(find_secret(late, "s")), "expired");
  expire_secret(late, "s");
  EXPECT_EQ(outcome(find_secret(late, "s")), "not-found");
}

TEST(SecretName, IsPrintable) {
  EXPECT_EQ(outcome(check_secret_name("project/x y")), "ok");
  EXPECT_EQ(outcome(check_secret_name(std::string(secret_name_bytes_max, 'n'))), "ok");
  EXPECT_EQ(outcome(check_secret_name(std::string(secret_name_bytes_max + 1, 'n'))), "invalid-input");
  for (const char* bad : {"", "a\n", "\xc3\xa4"}) EXPECT_EQ(outcome(check_secret_name(bad)), "invalid-input");
}

}  // namespace
}  // namespace gantry::access
