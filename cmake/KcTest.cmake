# SPDX-License-Identifier: LicenseRef-OfficeFlow
# kc_check_test(FILE LABEL label [EMBEDDED options] LINK libs): a Check executable from one test_<module>.c, one CTest
# per START_TEST.
# The runner is generated from the START_TESTs found, so a test cannot be forgotten in a list.
# kc_embedded_test(NAME [EMBEDDED options] COMMAND command): as embedded.NAME a test beside embedded brokers of its own;
# the options are those of scripts/embedded run.

pkg_check_modules(CHECK REQUIRED IMPORTED_TARGET check)

find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)

function(kc_embedded_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "EMBEDDED;COMMAND;ENV" ${ARGN})
  if(NOT TARGET officeflow_cli)
    return()
  endif()
  add_test(NAME embedded.${name}
    COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/scripts/embedded run ${arg_EMBEDDED} -- ${arg_COMMAND})
  set_tests_properties(embedded.${name} PROPERTIES
    LABELS embedded TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 77
    ENVIRONMENT "OFFICEFLOW=$<TARGET_FILE:officeflow_cli>;PYTHONDONTWRITEBYTECODE=1;${arg_ENV}")
endfunction()

function(kc_check_test file)
  cmake_parse_arguments(arg "" "LABEL;TIMEOUT" "EMBEDDED;LINK;ENV" ${ARGN})
  get_filename_component(target ${file} NAME_WE)
  if(arg_LABEL MATCHES "broker|cluster") # test_producer.c is a unit test and a broker test
    set(target ${arg_LABEL}_${target})
  endif()
  string(REGEX REPLACE "^test_" "" module ${target})
  string(REGEX REPLACE "^[a-z]+_test_" "" module ${module})
  get_filename_component(path ${file} ABSOLUTE)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  file(STRINGS ${path} lines REGEX "^START_TEST\\(")
  set(cases "")
  set(names "")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^START_TEST\\(([A-Za-z0-9_]+)\\).*" "\\1" name "${line}")
    list(APPEND names ${name})
    string(APPEND cases "    kc_add_case(suite, \"${name}\", ${name});\n")
  endforeach()
  set(runner ${CMAKE_CURRENT_BINARY_DIR}/${target}_main.c)
  file(CONFIGURE OUTPUT ${runner} @ONLY CONTENT [[
/* Generated from @path@. Do not edit. */
#include "@path@"

static void kc_add_case(Suite *suite, const char *name, const TTest *test)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, @arg_TIMEOUT@);
    tcase_add_test(tcase, test);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    Suite *suite = suite_create("@target@");
@cases@    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int run = srunner_ntests_run(runner);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return run == 0 || failed != 0;
}
]])
  add_executable(${target} ${runner})
  target_link_libraries(${target} PRIVATE kc_flags ${arg_LINK} PkgConfig::CHECK)
  foreach(name IN LISTS names)
    set(case ${arg_LABEL}.${module}.${name})
    add_test(NAME ${case} COMMAND ${target})
    set_tests_properties(${case} PROPERTIES
      LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 77
      ENVIRONMENT "CK_RUN_CASE=${name};${arg_ENV}")
    if(arg_EMBEDDED)
      kc_embedded_test(${module}.${name} EMBEDDED ${arg_EMBEDDED} TIMEOUT ${arg_TIMEOUT} COMMAND $<TARGET_FILE:${target}>
        ENV "CK_RUN_CASE=${name};${arg_ENV}")
    endif()
  endforeach()
endfunction()
