# understudy_embed(TARGET SYMBOL FILE)
#
# Puts the bytes of FILE into TARGET's read-only data by the assembler's .incbin, so that they cost no compile time.
# C++ sees them as
#   extern "C" const char SYMBOL_begin[];   extern "C" const char SYMBOL_end[];   // SYMBOL_end - SYMBOL_begin bytes, then a NUL
function(understudy_embed target symbol file)
  get_filename_component(file ${file} ABSOLUTE)
  set(generated ${CMAKE_CURRENT_BINARY_DIR}/embed_${symbol}.cc)
  file(CONFIGURE OUTPUT ${generated} @ONLY CONTENT [=[
asm(R"(
  .section .rodata, "a"
  .balign 64
  .global @symbol@_begin
@symbol@_begin:
  .incbin "@file@"
  .global @symbol@_end
@symbol@_end:
  .byte 0
  .previous
)");
]=])
  set_source_files_properties(${generated} PROPERTIES OBJECT_DEPENDS ${file})
  target_sources(${target} PRIVATE ${generated})
endfunction()
