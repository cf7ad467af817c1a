#include "main/php.h"
#include <stddef.h>
#include <stdio.h>
#define P(t,f) printf(#t "." #f "=%zu\n", offsetof(t,f))
int main(){
P(zend_executor_globals,current_execute_data);
P(zend_execute_data,opline);P(zend_execute_data,func);P(zend_execute_data,prev_execute_data);P(zend_execute_data,This);
P(zend_op,lineno);
P(zend_function,type);P(zend_op_array,function_name);P(zend_op_array,scope);P(zend_op_array,filename);P(zend_op_array,line_start);P(zend_op_array,opcodes);
P(zend_class_entry,name);P(zend_string,len);P(zend_string,val);
printf("%zu %zu\n", sizeof(zend_executor_globals), sizeof(zend_op_array));
return 0;}
