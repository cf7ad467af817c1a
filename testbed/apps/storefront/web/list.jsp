<%@ page session="false" contentType="text/html" import="storefront.Catalog,storefront.Product" %>
<html><head><title>Products</title></head><body>
<%@ include file="/WEB-INF/fragments/banner.jspf" %>
<%
  String group = request.getParameter("group");
  int number = request.getParameter("page") == null ? 0 : Integer.parseInt(request.getParameter("page"));
%>
<h1><%= group %></h1>
<table>
<% for (Product p : Catalog.get().group(group, number, 20)) { %>
  <tr><td><a href="/product.jsp?id=<%= p.id() %>"><%= p.name() %></a></td><td><%= p.price() %></td></tr>
<% } %>
</table>
<a href="/list.jsp?group=<%= group %>&amp;page=<%= number + 1 %>">more</a>
</body></html>
